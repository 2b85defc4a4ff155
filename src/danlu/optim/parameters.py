"""Parameters with their names: what an optimiser needs to treat them differently.

A module may define `parameter_rules() -> dict[str, Rule]`, keyed by its parameters' names
(dotted names reach its children); an outer module's word goes before an inner one's. Without a
rule, parameters with fewer than two axes (biases, norm scales) and embeddings have no weight
decay, as is usual.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from torch import nn

from danlu.contracts import DanluError


@dataclass(frozen=True, slots=True)
class Rule:
    """Factors on the optimiser's settings for one parameter.

    Attributes:
        decay: factor on the weight decay; None for 1, or 0 where decay is not usual.
        rate: factor on the learning rate.
        scale: size that the entries are expected to have when trained, for `amos`; None for the
            one that goes with the type of the module.
    """

    decay: float | None = None
    rate: float = 1.0
    scale: float | None = None


def without_decay(*names: str) -> dict[str, Rule]:
    """Rules of parameters of two axes that are no matrices: gains, shares, tables of vectors."""
    return dict.fromkeys(names, Rule(decay=0.0))


@dataclass(frozen=True, slots=True)
class NamedParameter:
    """A parameter, where it stands in the model, and its rule.

    Attributes:
        path: full name in the model, such as `decoder.blocks.0.weight`.
        module_type: class of the module that holds it.
        name: its name in that module, such as `weight`.
        parameter: the tensor itself.
        rule: factors on the optimiser's settings.
    """

    path: str
    module_type: type[nn.Module]
    name: str
    parameter: nn.Parameter
    rule: Rule = field(default_factory=Rule)


def named_parameters(root: nn.Module, modules: Iterable[nn.Module]) -> list[NamedParameter]:
    """The trainable parameters of some modules of a model, named from its root.

    A parameter that several modules share appears once, under its first name.

    Raises:
        ValueError: a module lies outside the model, or a rule names no parameter.
    """
    wanted = {id(p) for module in modules for p in module.parameters()}
    rules = _rules(root)
    found: dict[int, NamedParameter] = {}
    for path, module in root.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in wanted or id(parameter) in found:
                continue
            full = _join(path, name)
            rule = rules.get(full, Rule())
            if rule.decay is None:
                rule = replace(rule, decay=_usual_decay(module, parameter))
            found[id(parameter)] = NamedParameter(full, type(module), name, parameter, rule)
    if len(found) < len(wanted):
        raise DanluError(
            f"{len(wanted) - len(found)} parameters of a player lie outside the model "
            f"{type(root).__name__}; register its modules there, or they cannot be saved."
        )
    return [named for named in found.values() if named.parameter.requires_grad]


def by_factors(
    named: Iterable[NamedParameter],
) -> dict[tuple[float, float], list[NamedParameter]]:
    """The parameters with equal factors (rate, decay), in order of first appearance."""
    members: dict[tuple[float, float], list[NamedParameter]] = {}
    for row in named:
        decay = 1.0 if row.rule.decay is None else row.rule.decay
        members.setdefault((row.rule.rate, decay), []).append(row)
    return members


def _rules(root: nn.Module) -> dict[str, Rule]:
    known = {name for name, _ in root.named_parameters(remove_duplicate=False)}
    rules: dict[str, Rule] = {}
    for path, module in root.named_modules():  # outer modules come first
        speak = getattr(module, "parameter_rules", None)
        for name, rule in (speak() if speak is not None else {}).items():
            full = _join(path, name)
            if full not in known:
                raise DanluError(
                    f"parameter_rules() of {type(module).__name__} names {name!r}, "
                    f"which is none of its parameters."
                )
            rules.setdefault(full, rule)
    return rules


def _usual_decay(module: nn.Module, parameter: nn.Parameter) -> float:
    return 0.0 if parameter.ndim < 2 or isinstance(module, nn.Embedding) else 1.0


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
