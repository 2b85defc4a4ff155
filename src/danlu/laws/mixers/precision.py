"""Laws of types: mixers and positions in half precision and under autocast, against float64.

Weights and tokens are numbers that every type holds, so that all of the error is made on the way.
Hard choices (buckets of a hash, nearest codes) jump where a number is rounded; they are taken as
they fell in float64.
"""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from danlu.contracts import SequenceContext
from danlu.laws.draws import generator
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Case, Law, law_of_cases
from danlu.laws.mixers.sequences import Build, context_for, made, tokens
from danlu.mixers import MIXERS
from danlu.mixers.base import Mixer
from danlu.mixers.reformer import Reformer
from danlu.mixers.softmax import Softmax
from danlu.mixers.transformer_vq import TransformerVQ
from danlu.positions import POSITIONS

LENGTH = 9
BOUNDS = {
    "float32": 1e-4,
    "bfloat16": 3e-2,
    "float16": 4e-3,
    "autocast": 3e-2,
}
"""The norm of the error over that of the outputs; of each gradient `SLOPES` times that."""
SLOPES = 8.0
SMALL = 0.2
"""A gradient that is smaller than this share of the largest one is measured by that share."""
FAR = 2000
"""A first position whose angles low precision loses. Gradients are measured from position 0: that
of a frequency is a small difference of terms as large as the positions."""
FINITE = ("learned", "multiplicative", "hierarchical", "floater")
"""Encodings with a table, which ends."""


def under_attention(name: str, build: Callable[[], Any] | None = None) -> Mixer:
    """A position encoding with the attention that calls all its hooks."""
    encoding = POSITIONS[name].build() if build is None else build()
    return Softmax(8, heads=2, position=encoding, causal=not encoding.sees_future)


def places(mixer: Mixer, length: int, start: int) -> Tensor:
    """Positions from a first one on, with as many axes as the encoding has."""
    axes, place = getattr(mixer.position, "axes", 0), start + torch.arange(length)
    return place[None] if not axes else place[None, :, None].expand(1, length, axes)


def in_types(
    build: Build,
    start: int = 0,
    *,
    length: int = LENGTH,
    forms: int | None = None,
    kinds: Iterable[str] = tuple(BOUNDS),
) -> Iterable[Case]:
    """Errors of outputs and gradients over their bounds, in the first forms and in types."""
    mixer = made(build)
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.copy_(parameter.bfloat16())
    length = mixer.length or length
    x = tokens(mixer, length, batch=1).bfloat16().double()
    context = context_for(mixer, 1, positions=places(mixer, length, start))
    for form in mixer.forms[:forms]:
        chosen: list[Tensor] = []
        expected = results(recording(mixer, chosen), x, context, form)
        for kind in kinds:
            kept = expected[:1] if start else expected
            error = partial(error_of, mixer, x, context, form, kind, (chosen, kept))
            yield f"{form}, {kind}, from position {start}", error


def near_and_far(name: str) -> Iterable[Case]:
    """The same for a position encoding."""
    build = partial(under_attention, name)
    yield from in_types(build)
    if name not in FINITE:
        yield from in_types(build, FAR)


def error_of(
    mixer: Mixer,
    x: Tensor,
    context: SequenceContext,
    form: str,
    kind: str,
    exact: tuple[list[Tensor], list[Tensor]],
) -> float:
    """The error of a type over its bound."""
    chosen, expected = exact
    dtype = torch.float32 if kind == "autocast" else getattr(torch, kind)
    low = replaying(deepcopy(mixer).to(dtype), list(chosen))
    if context.memory is not None:
        context = replace(context, memory=(context.memory[0].to(dtype), context.memory[1]))
    lowered = torch.autocast("cpu", torch.bfloat16) if kind == "autocast" else nullcontext()
    with lowered:
        found = results(low, x.to(dtype), context, form)
    y, *slopes = (part.norm().item() for part in expected)
    least = SMALL * max(slopes, default=0.0)
    sizes = [y, *(SLOPES * max(least, slope) for slope in slopes)]
    errors = [_distance(*pair) for pair in zip(found, expected, strict=False)]
    return largest(error / size for error, size in zip(errors, sizes, strict=True)) / BOUNDS[kind]


def _distance(found: Tensor, expected: Tensor) -> float:
    """The norm of the difference, where `gap` finds one."""
    return (
        (found.double() - expected).norm().item() if gap(found, expected) < torch.inf else torch.inf
    )


def results(mixer: Mixer, x: Tensor, context: SequenceContext, form: str) -> list[Tensor]:
    """The outputs, and the gradients of a weighing of them by the tokens and all weights."""
    x = x.clone().requires_grad_()
    y = mixer(x, context, form=form)[0]
    weights = torch.randn(y.shape, generator=generator(1), dtype=torch.float32).bfloat16()
    wanted = [x, *(p for p in mixer.parameters() if p.requires_grad)]
    total = (y.double() * weights.double()).sum()
    found = torch.autograd.grad(total, wanted, allow_unused=True)
    pairs = zip(wanted, found, strict=True)
    return [y.detach(), *(torch.zeros_like(p) if g is None else g for p, g in pairs)]


# --- hard choices --------------------------------------------------------------------------------


def recording(mixer: Mixer, chosen: list[Tensor]) -> Mixer:
    """A copy of the mixer that notes its hard choices."""

    def noting(choose: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def choice(*arguments: Any) -> Tensor:
            chosen.append(choose(*arguments))
            return chosen[-1]

        return choice

    return _choosing(deepcopy(mixer), noting)


def replaying(mixer: Mixer, chosen: list[Tensor]) -> Mixer:
    """The mixer with the choices that another one made."""
    return _choosing(mixer, lambda choose: lambda *arguments: chosen.pop(0))


def _choosing(mixer: Mixer, wrap: Callable[[Any], Any]) -> Mixer:
    for part in mixer.modules():
        if isinstance(part, Reformer):
            part.hashes = wrap(part.hashes)
        elif isinstance(part, TransformerVQ):
            part.codebook.nearest = wrap(part.codebook.nearest)
    return mixer


LOOSER = {"gated-linear": 3.0}
"""Its norm divides by what a token reads, which may be nearly zero: slopes there are ill-posed."""
STATEMENT = "float32, half precision and autocast are float64 within the bound of each type"

LAWS: list[Law] = [
    *(
        law_of_cases(
            f"mixers/{name}/precision",
            STATEMENT,
            LOOSER.get(name, 1.0),
            partial(in_types, method.build),
            "self-consistency",
        )
        for name, method in MIXERS.items()
    ),
    *(
        law_of_cases(
            f"positions/{name}/precision",
            STATEMENT,
            1.0,
            partial(near_and_far, name),
            "self-consistency",
        )
        for name in POSITIONS
    ),
]
