"""Layers beside the formulas of their sources, which are written apart.

A formula gets the layer's weights by name and its input, and nothing else: it cannot call a part of
the layer. Outputs and the gradients by the input and by every weight are compared.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from danlu.laws.draws import generator
from danlu.laws.gaps import gap
from danlu.laws.law import Case, Law, law_of_cases
from danlu.laws.mixers.sequences import Build, Kind, context_for, gradients
from danlu.mixers import MIXERS
from danlu.mixers.base import Mixer

AnyModule = TypeVar("AnyModule", bound=nn.Module)
Errors = dict[str, Callable[[], float]]
"""The errors of what a module offers, by name."""
Weights = dict[str, Tensor]
"""Parameters and buffers by name; "memory" is the sequence that cross-attention reads."""
Formula = Callable[[Weights, Tensor], Tensor]
Row = tuple[str, Build, Formula]
"""What is special about a layer, in words; how it is built; its formula."""

SHORT = 20
"""Tokens up to which every form is tried."""


def definition(
    name: str, *rows: Row | Formula, lengths: tuple[int, ...] = (9,), tolerance: float = 1e-9
) -> Law:
    """The law of a mixer: in all forms it is its formula, gradients included.

    A formula without a row is that of the mixer as it stands in the table.
    """
    said = "outputs and gradients are those of its source's formula, written apart"
    known = [("", MIXERS[name].build, row) if callable(row) else row for row in rows]
    cases = partial(_cases, known, lengths)
    return law_of_cases(f"mixers/{name}/definition", said, tolerance, cases, "definition")


def _cases(rows: list[Row], lengths: tuple[int, ...]) -> Iterable[Case]:
    for words, build, formula in rows:
        layer = drawn(build)
        for length in lengths if layer.length is None else (layer.length,):
            x, context = numbers(2, length, layer.dim, stream=2), context_for(layer)
            known = weights_of(layer)
            if context.memory is not None:
                known["memory"] = context.memory[0]
            expected = gradients(layer, x, partial(formula, known))
            # A long sequence is there for the ends of chunks, which the default form has.
            for form in layer.forms if length <= SHORT else layer.forms[:1]:

                def error(
                    layer: Mixer = layer,
                    x: Tensor = x,
                    form: str = form,
                    expected: list[Tensor] = expected,
                ) -> float:
                    context = context_for(layer)
                    found = gradients(layer, x, lambda x: layer(x, context, form=form)[0])
                    return scaled_gap(found, expected)

                yield ", ".join(part for part in (words, form, f"{length} tokens") if part), error


def sigmoid(x: Tensor) -> Tensor:
    """The logistic function."""
    return 1 / (1 + (-x).exp())


def silu(x: Tensor) -> Tensor:
    """SiLU, x sigma(x)."""
    return x / (1 + (-x).exp())


def softplus(x: Tensor) -> Tensor:
    """Softplus, ln(1 + e^x)."""
    return (1 + x.exp()).log()


def gelu(x: Tensor) -> Tensor:
    """The exact one, x Phi(x)."""
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def scaled_gap(found: list[Tensor], expected: list[Tensor]) -> float:
    """The gap, relative to the largest number of a tensor where that is above 1."""
    scales = [max(1.0, gap(part, 0.0)) for part in expected]
    ours, theirs = (
        [part / scale for part, scale in zip(parts, scales, strict=True)]
        for parts in (found, expected)
    )
    return gap(ours, theirs)


def drawn(build: Callable[[], Kind], spread: float = 0.3) -> Kind:
    """The layer in evaluation, moved so far from its start that every term shows."""
    return moved(build().double().eval(), spread)


def moved(layer: AnyModule, spread: float = 0.3) -> AnyModule:
    """A module with every parameter moved by normal numbers of the law's own."""
    source = generator(1)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(spread * torch.randn(parameter.shape, generator=source))
    return layer


def numbers(*shape: int, stream: int = 0) -> Tensor:
    """Standard normal numbers of the law's own."""
    return torch.randn(*shape, generator=generator(stream), dtype=torch.float64)


def weights_of(layer: nn.Module) -> Weights:
    """All that a formula is told of a layer."""
    return {**dict(layer.named_parameters()), **dict(layer.named_buffers())}


def module_laws(defined: dict[str, Errors]) -> list[Law]:
    """A law for each module of the layers: what it offers is its definition."""
    said = "each of its parts is its formula, written apart, gradients included"
    return [
        law_of_cases(
            f"layers/{name.replace('_', '-')}/definition",
            said,
            1e-9,
            lambda errors=errors: errors.items(),
            "definition",
        )
        for name, errors in defined.items()
    ]


def slopes(
    run: Callable[..., Tensor], inputs: list[Tensor], weights: Iterable[Tensor] = ()
) -> list[Tensor]:
    """A result, and the gradients of one number of it by the inputs and the weights."""
    given = [part.detach().clone().requires_grad_() for part in inputs]
    y = run(*given)
    wanted = [*given, *weights]
    if not y.requires_grad:
        return [y, *(torch.zeros_like(part) for part in wanted)]
    total = (y * numbers(*y.shape, stream=8)).sum()
    found = torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)
    return [y.detach(), *found]


def compared(
    run: Callable[..., Tensor], formula: Callable[..., Tensor], inputs: list[Tensor]
) -> float:
    """Distance of a function from its formula, with the gradients by the inputs."""
    return scaled_gap(slopes(run, inputs), slopes(formula, inputs))


def module(build: Callable[[], nn.Module], formula: Callable[..., Tensor], *shape: int) -> float:
    """A module of one input against its formula `(weights, x)`, with all gradients."""
    layer = moved(build().double())
    names, inputs = zip(*layer.named_parameters(), strict=True)
    x = numbers(*shape, stream=2)
    found = slopes(lambda x: layer(x), [x], list(inputs))
    known = dict(zip(names, inputs, strict=True))
    return gap(found, slopes(lambda x: formula(known, x), [x], list(inputs)))
