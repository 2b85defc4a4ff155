"""Laws of every token mixer: the contract itself, on tiny layers in float64.

`mixer_laws` makes the rows for any builder, one's own class included; what a layer declares
(causal, forms, honours, length, bounded) decides which of them it must obey.
"""

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch

from danlu.backbones.transformer import (
    Transformer,
    cross_layer,
    feed_forward_layer,
    hybrid,
    softmax_layer,
    transformer_block,
)
from danlu.contracts import DanluError, SequenceContext, built, told_of
from danlu.laws.draws import generator
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Case, Law, Oracle, law_of_cases, statement_of
from danlu.laws.mixers.exemptions import EXEMPT
from danlu.laws.mixers.mixers_in_rows import edited, leaks, packed, packed_slopes, padding, rows
from danlu.laws.mixers.mixers_in_time import (
    forms,
    future,
    jacobian,
    lengths_of,
    prefixes,
    splits,
    state_size,
    steps,
)
from danlu.laws.mixers.sequences import (
    BATCH,
    Build,
    context_for,
    gradients,
    made,
    packed_context,
    reads_memory,
    refused,
    tokens,
)
from danlu.mixers import MIXERS
from danlu.mixers.base import Mixer
from danlu.mixers.softmax import Softmax
from danlu.positions import POSITIONS


def shapes(build: Build) -> Iterable[Case]:
    """The output is finite and shaped like the input."""
    mixer = made(build)
    for length in lengths_of(mixer, (0, 1, 33)):

        def error(length: int = length) -> float:
            x = tokens(mixer, length)
            y, state = mixer(x, context_for(mixer))
            return float(y.shape != x.shape or not y.isfinite().all()) + float(
                (state is None) == mixer.causal
            )

        yield f"length {length}", error


def derivative(build: Build) -> Iterable[Case]:
    """The gradient is that of finite differences."""
    mixer = made(build)
    for length in lengths_of(mixer, (1, 3)):
        context, x = context_for(mixer, 1), tokens(mixer, length, batch=1)
        found = gradients(mixer, x, lambda x, c=context: mixer(x, c)[0])[1:]
        named = {name: p for name, p in mixer.named_parameters() if p.requires_grad}
        for (name, value), slope in zip({"the input": x, **named}.items(), found, strict=True):

            def error(value: Any = value, slope: Any = slope, x: Any = x) -> float:
                return _difference(mixer, x, value, slope)

            yield f"length {length}, by {name}", error


def _difference(mixer: Mixer, x: torch.Tensor, value: torch.Tensor, slope: torch.Tensor) -> float:
    """A gradient along a direction against a difference of fourth order, relative above 1."""
    source, step = generator(6), 1e-5
    direction = torch.randn(value.shape, generator=source, dtype=value.dtype)
    expected = (slope * direction).sum().item()
    ends = []
    with torch.no_grad():
        for move in (-2, 1, 2, 1):  # to -2, -1, 1 and 2 steps
            value.add_(move * step * direction)
            y = mixer(x, context_for(mixer, 1))[0]
            weight = torch.randn(y.shape, generator=generator(5), dtype=y.dtype)
            ends.append((y * weight).sum().item())
        value.add_(-2 * step * direction)
    found = (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * step)
    return gap(found, expected) / largest(1.0, abs(expected))


def purity(build: Build) -> Iterable[Case]:
    """A pass changes no parameter and no buffer."""
    mixer = made(build)
    for mode in (True, False):

        def error(mode: bool = mode) -> float:
            before = {name: value.clone() for name, value in mixer.state_dict().items()}
            mixer.train(mode)
            x = tokens(mixer, mixer.length or 4)
            kept = x.clone()
            mixer(x, context_for(mixer))
            mixer.eval()
            return gap([x, dict(mixer.state_dict())], [kept, before])

        yield "training" if mode else "evaluation", error


def refusals(build: Build) -> Iterable[Case]:
    """What cannot be done is refused."""
    mixer = made(build)
    length = mixer.length or 4
    x, context = tokens(mixer, length), context_for(mixer)
    state: Any = {"position": torch.zeros(BATCH, dtype=torch.long)}
    one = tokens(mixer, length, batch=1)
    packing = packed_context(context_for(mixer, 1), (length,))
    attempts: dict[str, Callable[[], Any]] = {
        "an unknown form": lambda: mixer(x, context, form="telepathic"),
        "a state with packed documents": lambda: mixer(one, packing, state),
        "boundaries that end elsewhere": lambda: mixer(
            one, packed_context(context_for(mixer, 1), (length + 1,))
        ),
        "packed documents in two rows": lambda: mixer(x, packing),
    }
    if not mixer.causal:
        attempts["a state where all is seen"] = lambda: mixer(x, context, state)
        attempts["a step where all is seen"] = lambda: mixer.step(x[:, 0], None, context)
    if mixer.length is not None:
        attempts["another length"] = lambda: mixer(tokens(mixer, length + 1), context)
    if reads_memory(mixer):
        attempts["no memory"] = lambda: mixer(x, SequenceContext())
    for name, attempt in attempts.items():
        yield name, partial(refused, attempt)


def _always(mixer: Mixer) -> bool:
    return True


def _causal(mixer: Mixer) -> bool:
    return mixer.causal


def _of_any_length(mixer: Mixer) -> bool:
    return mixer.length is None


def _bounded(mixer: Mixer) -> bool:
    return mixer.causal and mixer.bounded


def _in_forms(mixer: Mixer) -> bool:
    return len(mixer.forms) > 1


CONTRACT: list[tuple[str, float, Callable[[Build], Iterable[Case]], Any, Oracle]] = [
    ("forms", 1e-9, forms, _in_forms, "self-consistency"),
    ("split", 1e-9, splits, _causal, "self-consistency"),
    ("steps", 1e-9, steps, _causal, "self-consistency"),
    ("packed", 1e-12, packed, _always, "self-consistency"),
    ("packed-slopes", 1e-12, packed_slopes, _always, "self-consistency"),
    ("edited", 0.0, edited, _always, "contract"),
    ("leak", 0.0, leaks, _always, "contract"),
    ("padding", 1e-9, padding, _of_any_length, "contract"),
    ("future", 1e-12, future, _causal, "contract"),
    ("jacobian", 0.0, jacobian, _causal, "automatic differentiation"),
    ("prefixes", 1e-9, prefixes, _causal, "self-consistency"),
    ("shapes", 0.0, shapes, _always, "contract"),
    ("rows", 1e-9, rows, _always, "self-consistency"),
    ("state-size", 0.0, state_size, _bounded, "contract"),
    ("gradient", 1e-7, derivative, _always, "finite differences"),
    ("purity", 0.0, purity, _always, "contract"),
    ("refusals", 0.0, refusals, _always, "contract"),
]


def builder(target: Callable[..., Any]) -> Build:
    """What builds a small instance of a class of one's own, in the same way each time.

    Raises:
        DanluError: it needs more than a width, or makes no mixer.
    """
    name = getattr(target, "__name__", "the mixer")
    with told_of(name):
        needed = inspect.signature(target)
    for arguments in ((), (WIDTH,)):
        try:
            needed.bind(*arguments)
        except TypeError:
            continue
        built(name, Mixer, target, *arguments)
        return partial(target, *arguments)
    raise DanluError(f"{name} needs more than a width; pass a function that builds a small one.")


def mixer_laws(name: str, build: Build, *, only: Iterable[str] = ()) -> list[Law]:
    """The rows for one mixer called `room/name`; `build()` makes a small one."""
    mixer = build()
    exempt = EXEMPT.get(name, {})
    return [
        law_of_cases(
            f"{name}/{what}", statement_of(cases), tolerance, partial(cases, build), oracle
        )
        for what, tolerance, cases, concerns, oracle in CONTRACT
        if concerns(mixer) and what not in exempt and (not only or what in only)
    ]


WIDTH = 8
"""Of a mixer of one's own, where it asks for a width."""

STACKS: dict[str, Build] = {
    "hybrid": lambda: Transformer(
        8,
        2,
        [hybrid(softmax_layer(2), _windowed, every=2), feed_forward_layer()],
        position=POSITIONS["sinusoidal"].build(),
    ),
    "decoder": lambda: Transformer(8, 1, [softmax_layer(2), cross_layer(2), feed_forward_layer()]),
    "encoder": lambda: Transformer(8, 1, transformer_block(2, causal=False)),
}
"""A stack is a mixer and obeys what every mixer obeys."""


def _windowed(dim: int, layer: int, depth: int) -> Mixer:
    return Softmax(dim, heads=2, window=4)


LAWS = [
    *(law for name, method in MIXERS.items() for law in mixer_laws(f"mixers/{name}", method.build)),
    *(law for name, build in STACKS.items() for law in mixer_laws(f"transformer/{name}", build)),
]
