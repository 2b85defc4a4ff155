"""Laws of attention with fewer pairs: gated in chunks, windows, sparse, hashed and so on."""

import itertools
import math
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from danlu.contracts import SequenceContext
from danlu.experiments.checks.gaps import gap
from danlu.experiments.checks.law import Case, Law, law_of_cases
from danlu.experiments.checks.sequences import gradients, made, refused, tokens
from danlu.layers.attention import attend_in_window, plain, weights
from danlu.mixers.base import Mixer
from danlu.mixers.flash import FLASH
from danlu.mixers.fnet import FNet
from danlu.mixers.gau import GAU, USUAL_LENGTH
from danlu.mixers.linformer import Linformer
from danlu.mixers.reformer import EPSILON, Reformer
from danlu.mixers.softmax import Softmax, split_heads
from danlu.mixers.sparse import Pattern, Sparse, patterns
from danlu.positions.t5 import T5


def gau_by_definition() -> Iterable[Case]:
    """Every formula of the weights, with a bias, against sums over pairs of tokens."""
    for kind, causal in itertools.product(("scaled", "mean", "summed", "softmax-plus"), (1, 0)):

        def error(kind: Any = kind, causal: int = causal) -> float:
            torch.manual_seed(1)
            position = T5(1, buckets=8, farthest=16)
            build = partial(GAU, 6, size=4, weights=kind, causal=bool(causal), position=position)
            mixer = made(build)
            x = 3 * tokens(mixer, 7, batch=1)
            return gap(mixer(x)[0], _gau_by_pairs(mixer, x))

        yield f"{kind}, {'causal' if causal else 'bidirectional'}", error


def _gau_by_pairs(mixer: Any, x: Tensor) -> Tensor:
    gate, v, (q, k) = mixer.gates(x)
    places = torch.arange(x.shape[1])[None]
    bias = mixer.position.bias(q[:, None], k[:, None], places, places)[0, 0]
    scale, rows = mixer.position.score_scale(4), []
    for i in range(x.shape[1]):
        seen = range(i + 1) if mixer.causal else range(x.shape[1])
        n = len(seen)
        dots = [(q[0, i] @ k[0, j], bias[i, j]) for j in seen]
        if mixer.weights == "softmax-plus":
            powers = [(math.log(n) / math.log(USUAL_LENGTH) * scale * s + b).exp() for s, b in dots]
            given = [power / sum(powers) for power in powers]
        else:
            inner = {
                "scaled": [scale * s + b for s, b in dots],
                "mean": [s / n + b for s, b in dots],
                "summed": [(s + b) / n for s, b in dots],
            }[mixer.weights]
            given = [max(a, a.new_zeros(())) ** 2 for a in inner]
            given = [a / n for a in given] if mixer.weights == "scaled" else given
        rows.append(sum(a * v[0, j] for a, j in zip(given, seen, strict=True)))
    return mixer.gates.output(gate * torch.stack(rows)[None])


def window_by_mask() -> Iterable[Case]:
    """Blocks around a window against a mask of all pairs, with gradients."""
    for window, length, causal in itertools.product((1, 3, 4), (9, 12, 14), (True, False)):

        def error(window: int = window, length: int = length, causal: bool = causal) -> float:
            torch.manual_seed(length)
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
    """FLASH whose chunk is the sequence against the gated attention unit, with gradients."""
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


def flash_by_tokens() -> Iterable[Case]:
    """Both parts of FLASH against sums over pairs of tokens."""
    for causal in (True, False):

        def error(causal: bool = causal) -> float:
            mixer = made(partial(FLASH, 6, size=4, chunk=3, causal=causal))
            x = 3 * tokens(mixer, 11, batch=1)
            gate, v, (q, k, q_far, k_far) = mixer.gates(x)
            near, far = q[0] @ k[0].T, q_far[0] @ k_far[0].T
            given = torch.zeros(11, 11, dtype=x.dtype)
            for i, j in itertools.product(range(11), repeat=2):
                if i // 3 == j // 3 and (j <= i or not causal):
                    given[i, j] += near[i, j].relu() ** 2 / (3 * 4)
                if not causal or j // 3 < i // 3:
                    given[i, j] += far[i, j] / (3 * (i // 3) if causal else 11)
            return gap(mixer(x)[0], mixer.gates.output(gate * (given @ v[0])))

        yield "causal" if causal else "bidirectional", error


def sparse_is_masked() -> Iterable[Case]:
    """The chunked form against dense attention with masks by definition, gradients included."""
    shapes = [("strided", 4, 1), ("strided", 1, 1), ("fixed", 4, 2), ("fixed", 3, 3)]
    for (pattern, stride, last), length in itertools.product(shapes, (1, 5, 18)):

        def error(
            pattern: Any = pattern, stride: int = stride, last: int = last, length: int = length
        ) -> float:
            build = partial(Sparse, 8, heads=4, pattern=pattern, stride=stride, summaries=last)
            mixer = made(build)
            x = tokens(mixer, length)
            seen = [
                [[_sees(pattern, head % 2, i, j, stride, last) for j in range(length)]]
                for head in range(4)
                for i in range(length)
            ]
            mask = torch.tensor(seen).reshape(1, 4, length, length)

            def dense(x: Tensor) -> Tensor:
                q, k, v = (split_heads(to(x), 4) for to in (mixer.query, mixer.key, mixer.value))
                return mixer.output((weights(q, k, mask=mask) @ v).transpose(1, 2).flatten(2))

            found = gradients(mixer, x, lambda x: mixer(x, form="chunked")[0])
            return gap(found, gradients(mixer, x, dense))

        yield f"{pattern}, stride {stride}, summaries {last}, length {length}", error


def _sees(pattern: str, head: int, i: int, j: int, stride: int, last: int) -> bool:
    if j > i:
        return False
    if pattern == "strided":
        return (i - j) % stride == 0 if head else i - j <= stride
    return j % stride >= stride - last if head else i // stride == j // stride


def sparse_reaches() -> float:
    """Earlier tokens that two hops of the patterns do not reach, and later ones that they do."""
    order, missed = torch.arange(29)[None], 0
    shapes: list[tuple[Pattern, int, int]] = [("strided", 5, 1), ("fixed", 5, 1), ("fixed", 4, 2)]
    for pattern, stride, last in shapes:
        near, far = patterns(pattern, order, order, stride, last)[0].long()
        # In the fixed pattern the summaries have read their block in the layer before.
        reached = far @ near if pattern == "fixed" else near @ far + far @ near
        reached = (reached + near) > 0
        missed += int((reached != torch.ones(29, 29, dtype=torch.bool).tril()).sum())
    return float(missed)


def linformer_is_softmax() -> float:
    """Linformer whose projections are the identity against softmax attention, with gradients."""
    mixer = made(partial(Linformer, 8, length=6, keys=6, heads=2))
    full = made(partial(Softmax, 8, heads=2, causal=False))
    with torch.no_grad():
        mixer.mix_keys.copy_(torch.eye(6))
        mixer.mix_values.copy_(torch.eye(6))
        for name in ("query", "key", "value", "output"):
            getattr(full, name).weight.copy_(getattr(mixer, name).weight)
    x = tokens(mixer, 6)
    both = [gradients(each, x, lambda x, m=each: m(x)[0])[:2] for each in (mixer, full)]
    return gap(*both)


def fnet_is_matrices() -> Iterable[Case]:
    """FNet against products with numpy's complex Fourier matrices."""
    mixer = FNet(6)
    for length in (1, 2, 7, 12):

        def error(length: int = length) -> float:
            x = tokens(mixer, length)
            over = [np.fft.fft(np.eye(size)) for size in (length, 6)]
            expected = torch.from_numpy((over[0] @ x.numpy() @ over[1]).real)
            padded = torch.cat([x, torch.full((2, 3, 6), 7.0, dtype=x.dtype)], dim=1)
            valid = torch.arange(length + 3).expand(2, -1) < length
            behind = mixer(padded, SequenceContext(valid=valid))[0][:, :length]
            return max(gap(mixer(x)[0], expected), gap(behind, expected))

        yield f"length {length}", error


def reformer_is_dense() -> Iterable[Case]:
    """Hashed attention against dense attention to what the rounds let a token see."""
    for causal, (chunk, rounds) in itertools.product((True, False), ((9, 2), (3, 1), (2, 3))):

        def error(causal: bool = causal, chunk: int = chunk, rounds: int = rounds) -> float:
            mixer = made(
                partial(Reformer, 8, heads=2, chunk=chunk, buckets=4, rounds=rounds, causal=causal)
            )
            x = tokens(mixer, 9)
            found = gradients(mixer, x, lambda x: mixer(x)[0])
            return gap(found, gradients(mixer, x, lambda x: _shared_attention(mixer, x)))

        name = "one chunk" if chunk == 9 else f"chunks of {chunk}"
        yield f"{name}, {rounds} rounds, {'causal' if causal else 'bidirectional'}", error


def _shared_attention(mixer: Reformer, x: Tensor) -> Tensor:
    q, v = split_heads(mixer.query(x), 2), split_heads(mixer.value(x), 2)
    length, size = x.shape[1], q.shape[-1]
    k = q / (q.square().sum(-1, keepdim=True) + size * EPSILON).sqrt()
    seen = torch.zeros(*q.shape[:2], length, length, dtype=torch.bool)
    for (b, h, r), bucket in np.ndenumerate(np.empty((len(x), 2, mixer.rounds))):
        del bucket
        buckets = mixer.hashes(q, 0)[b, h, r].tolist()
        ranked = sorted(range(length), key=lambda i: (buckets[i], i))
        chunk = {token: rank // mixer.chunk for rank, token in enumerate(ranked)}
        for i, j in itertools.product(range(length), repeat=2):
            seen[b, h, i, j] |= chunk[i] - chunk[j] in (0, 1)
    if mixer.causal:
        seen = seen.tril()
    alone = seen.sum(-1, keepdim=True) == 1
    seen = seen & (~torch.eye(length, dtype=torch.bool) | alone)
    y = weights(q, k, mask=seen, scale=1.0) @ v
    return mixer.output(y.transpose(1, 2).flatten(2))


def reformer_rounds() -> float:
    """Excess of the error with many rounds over half of that with one."""
    errors = []
    for rounds in (1, 16):
        mixer = made(partial(Reformer, 8, heads=2, chunk=4, buckets=4, rounds=rounds))
        x = tokens(mixer, 32)
        full = made(partial(Reformer, 8, heads=2, chunk=32, buckets=4, rounds=1))
        errors.append((mixer(x)[0] - full(x)[0]).abs().mean().item())
    return max(0.0, errors[1] - errors[0] / 2)


def linformer_refuses_padding() -> float:
    """Padded rows and short documents that are mixed instead of refused."""
    mixer: Mixer = made(partial(Linformer, 8, length=6, keys=3, heads=2))
    valid = torch.arange(6).expand(2, -1) < 5
    x, packed = tokens(mixer, 6), tokens(mixer, 10, batch=1)
    short = SequenceContext(cu_seqlens=torch.tensor([0, 6, 10]))
    wrong = refused(lambda: mixer(x, SequenceContext(valid=valid)))
    return wrong + refused(lambda: mixer(packed, short))


_CASES = [
    ("gau/definition", "weights follow their formulas", 1e-10, gau_by_definition),
    ("flash/one-chunk", "one chunk is the gated attention unit", 1e-12, flash_in_one_chunk),
    ("flash/definition", "both parts equal sums over pairs", 1e-11, flash_by_tokens),
    ("sliding-window/masked", "blocks equal a mask of all pairs", 1e-12, window_by_mask),
    ("sparse/masked", "chunks equal dense attention with the mask", 1e-11, sparse_is_masked),
    ("fnet/matrices", "it is the product with Fourier matrices", 1e-11, fnet_is_matrices),
    ("reformer/dense", "it is shared attention to what is seen", 1e-11, reformer_is_dense),
]

_SINGLE = [
    ("sparse/two-hops", "two hops reach the past and no more", 0.0, sparse_reaches),
    ("linformer/identity", "identity projections give softmax", 1e-12, linformer_is_softmax),
    ("linformer/padding", "padding is refused", 0.0, linformer_refuses_padding),
    ("reformer/rounds", "sixteen rounds halve the error of one", 0.0, reformer_rounds),
]

LAWS = [
    *(law_of_cases(f"mixers/{name}", said, limit, cases) for name, said, limit, cases in _CASES),
    *(Law(f"mixers/{name}", said, limit, run) for name, said, limit, run in _SINGLE),
]
