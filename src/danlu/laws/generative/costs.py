"""What a family says of its networks: which they are, and how often they are called.

Calls by samples and likelihoods are counted by hooks on every network.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from itertools import product
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from danlu.contracts import DanluError
from danlu.generative.base import GenerativeModel
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.subjects import (
    Build,
    N,
    class_ids,
    conditions,
    examples,
    plays,
    seeded_loss,
    tiny,
    uses,
)

GUIDANCE = 2.0
CHOICES = {
    "likelihood": ("flow", "bound", "pointwise"),
    "estimator": ("elbo", "iwae"),
}
"""Options of likelihoods on which their cost depends."""


def spent(model: GenerativeModel, use: Callable[[], Any]) -> float:
    """Calls of networks for each of N examples."""
    return calls(model.networks(), use) / N


def calls(networks: Iterable[nn.Module], use: Callable[[], Any]) -> int:
    """Rows on which networks are called in all, so that one on twice as many counts as two."""
    rows = [0]

    def count(network: nn.Module, arguments: tuple[Any, ...]) -> None:
        rows[0] += len(arguments[0])

    handles = [network.register_forward_pre_hook(count) for network in networks]
    try:
        use()
    finally:
        for handle in handles:
            handle.remove()
    return rows[0]


def ways_to_sample(model: GenerativeModel) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Conditions and options of sampling, guided where the model may be; the first are none."""
    names = {field.name for field in fields(model.Options)}
    ways = [{}, {"jumps": "none"}] if "jumps" in names else [{}]
    yield from product(conditions(model), ways)
    ids = class_ids(model)
    if "guidance" in names and ids is not None:
        yield ids, {**ways[-1], "guidance": GUIDANCE}


def ways_to_score(model: GenerativeModel) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Conditions and options of likelihoods; the first are none."""
    names = {field.name for field in fields(model.Options)}
    ways: list[dict[str, Any]] = [{}]
    for name in CHOICES.keys() & names:
        usual = getattr(model.Options(), name)
        ways += [{name: choice} for choice in CHOICES[name] if choice != usual]
    if "chain" in names:
        ways.append({"likelihood": "bound", "chain": 12, "terms": 12})
    if "trace" in names and model.description.dims < N:
        ways.append({"trace": "exact"})
    yield from product(conditions(model), ways)


def evaluations(build: Build) -> float:
    """Samples and likelihoods that cost other than they promise, in calls for an example.

    A way that is not the usual one may be refused.
    """
    worst = 0.0
    for model in tiny(build):
        tried = {"sample": (ways_to_sample, _sampled), "log_prob": (ways_to_score, _scored)}
        for name in tried.keys() & model.can:
            ways, cost = tried[name]
            for condition, way in ways(model):
                try:
                    worst = largest(worst, cost(model, condition, model.Options(**way)))
                except DanluError:
                    if not way:
                        raise
    return worst


def _sampled(model: GenerativeModel, condition: Any, options: Any) -> float:
    """The difference of what a sample promises to cost and what it does."""
    cost = spent(model, lambda: model.sample(N, condition=condition, options=options))
    return gap(cost, model.sampling_evaluations(options))


def _scored(model: GenerativeModel, condition: Any, options: Any) -> float:
    """The difference of what a likelihood says that it cost and what it did."""
    x, found = examples(model.description).x, []

    def score() -> None:
        found.append(model.log_prob(x, condition=condition, options=options).evaluations)

    return gap(spent(model, score), found[0])


def networks(build: Build) -> float:
    """Named networks that nothing calls, and modules of several parts that are called unnamed."""
    wrong = 0
    for model in tiny(build):
        named = model.networks()
        inside = {id(part) for network in named for part in network.modules()}
        with _called(model) as called:
            for name, batch in plays(model):
                seeded_loss(model, name, batch)
            for name, use in uses(model).items():
                if name in model.can:
                    use()
        wrong += sum(network not in called for network in named)
        wrong += sum(id(m) not in inside and _composed(m) for m in called)
        wrong += len(set(named)) != len(named)
    return float(wrong)


def _composed(module: nn.Module) -> bool:
    """Whether a module is made of several that have weights."""
    return sum(any(True for _ in part.parameters(recurse=False)) for part in module.modules()) > 1


@contextmanager
def _called(model: GenerativeModel) -> Iterator[list[nn.Module]]:
    """The modules of a model that are called inside the context."""
    own, called = set(model.modules()), []

    def note(module: nn.Module, arguments: Any) -> None:
        if module in own and module not in called:
            called.append(module)

    handle = register_module_forward_pre_hook(note)
    try:
        yield called
    finally:
        handle.remove()
