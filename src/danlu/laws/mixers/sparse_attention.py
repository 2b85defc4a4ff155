"""Laws of attention with fewer pairs: gated in chunks, windows, sparse, hashed and so on."""

import itertools
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from danlu.contracts import SequenceContext
from danlu.laws.draws import seed
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Case, Rows, law_of_cases, table
from danlu.laws.mixers.sequences import gradients, made, refused, tokens
from danlu.layers.attention import attend_in_window, plain
from danlu.mixers.base import Mixer
from danlu.mixers.flash import FLASH
from danlu.mixers.gau import GAU
from danlu.mixers.linformer import Linformer
from danlu.mixers.reformer import Reformer
from danlu.mixers.sparse import Pattern, patterns


def window_by_mask() -> Iterable[Case]:
    """Blocks equal a mask of all pairs."""
    for window, length, causal in itertools.product((1, 3, 4), (9, 12, 14), (True, False)):

        def error(window: int = window, length: int = length, causal: bool = causal) -> float:
            torch.manual_seed(seed(length))
            apart = torch.arange(length)[:, None] - torch.arange(length)
            near = (apart >= 0 if causal else apart > -window) & (apart < window)
            parts = [torch.randn(2, 3, length, 4, requires_grad=True) for _ in range(3)]
            slope = torch.randn(2, 3, length, 4)

            def with_slopes(y: Tensor) -> list[Tensor]:
                return [y, *torch.autograd.grad((y * slope).sum(), parts)]

            quick = with_slopes(attend_in_window(*parts, window=window, causal=causal))
            return gap(quick, with_slopes(plain(*parts, mask=near[None, None])))

        yield f"window {window}, {length} tokens, {'causal' if causal else 'both sides'}", error


def flash_in_one_chunk() -> Iterable[Case]:
    """One chunk is the gated attention unit."""
    for kind, causal in itertools.product(("scaled", "mean", "summed", "softmax"), (True, False)):

        def error(kind: Any = kind, causal: bool = causal) -> float:
            flash = made(partial(FLASH, 6, size=4, chunk=7, weights=kind, causal=causal))
            gau = made(partial(GAU, 6, size=4, weights=kind, causal=causal, divisor=7))
            with torch.no_grad():  # the linear part of a single chunk is its own, if not causal
                flash.gates.gain[2:], flash.gates.shift[2:] = 0.0, 0.0
                gau.gates.inward.weight.copy_(flash.gates.inward.weight)
                gau.gates.output.weight.copy_(flash.gates.output.weight)
                gau.gates.gain.copy_(flash.gates.gain[:2])
                gau.gates.shift.copy_(flash.gates.shift[:2])
            x = tokens(flash, 7)
            both = [gradients(each, x, lambda x, m=each: m(x)[0])[:2] for each in (flash, gau)]
            return gap(*both)

        yield f"{kind}, {'causal' if causal else 'bidirectional'}", error


def sparse_reaches() -> float:
    """Two hops reach the past and no more."""
    order, missed = torch.arange(29)[None], 0.0
    shapes: list[tuple[Pattern, int, int]] = [("strided", 5, 1), ("fixed", 5, 1), ("fixed", 4, 2)]
    for pattern, stride, last in shapes:
        near, far = patterns(pattern, order, order, stride, last)[0].long()
        # In the fixed pattern the summaries have read their block in the layer before.
        reached = far @ near if pattern == "fixed" else near @ far + far @ near
        reached = (reached + near) > 0
        missed += gap(reached, torch.ones(29, 29, dtype=torch.bool).tril())
    return missed


def reformer_rounds() -> float:
    """Sixteen rounds halve the error of one."""
    errors = []
    for rounds in (1, 16):
        mixer = made(partial(Reformer, 8, heads=2, chunk=4, buckets=4, rounds=rounds))
        x = tokens(mixer, 32)
        full = made(partial(Reformer, 8, heads=2, chunk=32, buckets=4, rounds=1))
        errors.append((mixer(x)[0] - full(x)[0]).abs().mean().item())
    return largest(0.0, errors[1] - errors[0] / 2)


def linformer_refuses_padding() -> float:
    """Padding is refused."""
    mixer: Mixer = made(partial(Linformer, 8, length=6, keys=3, heads=2))
    valid = torch.arange(6).expand(2, -1) < 5
    x, packed = tokens(mixer, 6), tokens(mixer, 10, batch=1)
    short = SequenceContext(cu_seqlens=torch.tensor([0, 6, 10]))
    wrong = refused(lambda: mixer(x, SequenceContext(valid=valid)))
    return wrong + refused(lambda: mixer(packed, short))


_CASES: Rows = {
    "self-consistency": [
        ("flash/one-chunk", 1e-12, flash_in_one_chunk),
        ("sliding-window/masked", 1e-12, window_by_mask),
    ],
}

_SINGLE: Rows = {
    "enumeration": [
        ("sparse/two-hops", 0.0, sparse_reaches),
    ],
    "contract": [
        ("linformer/padding", 0.0, linformer_refuses_padding),
    ],
    "statistics": [
        ("reformer/rounds", 0.0, reformer_rounds),
    ],
}

LAWS = [
    *table(_CASES, law_of_cases, prefix="mixers/"),
    *table(_SINGLE, prefix="mixers/"),
]
