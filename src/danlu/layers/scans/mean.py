r"""A mean of values for each channel, whose weights decay with the distance.

$$o_t = \frac{\sum_{i<t} e^{(c_{t-1} - c_i) + k_i} v_i + e^{u + k_t} v_t}
{\sum_{i<t} e^{(c_{t-1} - c_i) + k_i} + e^{u + k_t}}$$

with $c$ the summed logarithms of the decay. The weights $e^k$ have no bound, so the state is
(numerator, denominator, exponent): the true sums are the first two times $e^{\text{exponent}}$, and
the largest weight of each sum is 1. For the same reason no decay is small enough to be left out:
$c_{t-1} - c_i$ is the decay times the tokens between, whatever its size. Inside a chunk all pairs
of tokens are compared.

Sources: arXiv:2305.13048 eq. 16 and appendix D.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.layers.precision import wide
from danlu.layers.scans.chunks import CHUNKED, Run, scan, shaped, silenced

CHUNK = 16
NOTHING = -1e37
"""Logarithm of a weight of 0 that stays finite when decays are added to it."""
SMALLEST = -1e30
"""Logarithm of a decay of 0, of which a million may be added up."""


class Mean(NamedTuple):
    """Weighted sums for each channel: the numbers times the exponential of `exponent`."""

    numerator: Float[Tensor, "*batch channels"]
    denominator: Float[Tensor, "*batch channels"]
    exponent: Float[Tensor, "*batch channels"]


def mean_scan(
    k: Float[Tensor, "batch length channels"],
    v: Float[Tensor, "batch length channels"],
    log_decay: Float[Tensor, " channels"],
    bonus: Float[Tensor, " channels"],
    state: Mean | None = None,
    *,
    run: Run = CHUNKED,
) -> tuple[Float[Tensor, "batch length channels"], Mean]:
    """The means and the last state.

    Args:
        k: logarithms of weights.
        v: values.
        log_decay: logarithm of the decay in one step, at most 0.
        bonus: added to the logarithm of the weight of the token itself.
        state: before the first token.
        run: form, padding and size of a chunk.
    """
    kind = wide(v)
    none = v.new_zeros(len(v), v.shape[-1], dtype=kind)
    before = Mean(none, none, torch.full_like(none, NOTHING)) if state is None else state
    if not v.shape[1]:
        return v, before
    k, values = k[:, None].to(kind), silenced(v[:, None].to(kind), run.valid)
    ones = k.new_ones(1, 1, 1, 1)
    if run.valid is not None:
        k = k.masked_fill(~shaped(run.valid, k), NOTHING)
        ones = shaped(run.valid, k).to(kind)
    decay, bonus = (part.to(kind).expand_as(k[:, :, :1]) for part in (log_decay, bonus))
    decay = decay.clamp(min=SMALLEST)

    def block(k: Tensor, v: Tensor, ones: Tensor, *constants_and_state: Any) -> tuple[Tensor, Mean]:
        return _block(k, v, ones, decay, bonus, constants_and_state[-1])

    y, after = scan(block, _step, (k, values, ones, decay, bonus), before, run, CHUNK)
    return y[:, 0].to(v.dtype), after


def _block(
    k: Tensor, v: Tensor, ones: Tensor, log_decay: Tensor, bonus: Tensor, state: Mean
) -> tuple[Tensor, Mean]:
    k, v, ones = (part[:, 0] for part in (k, v, ones))
    size = k.shape[2]
    count = ones.cumsum(-2)  # of tokens that decay, [batch, chunks, size, 1]
    before = count - ones
    left = (before[..., :, None, :] - count[..., None, :, :]) * log_decay[:, :, None]
    past = torch.ones(size, size, dtype=torch.bool, device=k.device).tril(-1)[..., None]
    now = torch.eye(size, dtype=torch.bool, device=k.device)[..., None]
    weights = k[..., None, :, :] + torch.where(now, bonus[:, :, None], left)
    inside = _summed(weights.masked_fill(~(past | now), 2 * NOTHING), v[..., None, :, :])
    ends = _summed(k + (count[..., -1:, :] - count) * log_decay, v)
    starts, state = _carried(ends, count[..., -1, :] * log_decay[:, 0], state)
    found = _added(inside, _moved(starts, before * log_decay))
    return (found.numerator / found.denominator)[:, None], state


def _step(
    k: Tensor, v: Tensor, ones: Tensor, log_decay: Tensor, bonus: Tensor, state: Mean
) -> tuple[Tensor, Mean]:
    k, v, ones, log_decay, bonus = (part[:, 0] for part in (k, v, ones, log_decay, bonus))
    one = torch.ones_like(v)
    found = _added(state, Mean(v, one, k + bonus))
    kept = Mean(state.numerator, state.denominator, state.exponent + ones * log_decay)
    return (found.numerator / found.denominator)[:, None], _added(kept, Mean(v, one, k))


def _summed(weights: Tensor, v: Tensor) -> Mean:
    """The sums over the axis before the last, from logarithms of weights."""
    # The exponent cancels in every mean: no gradient need go through the choice of it.
    exponent = weights.detach().amax(-2)
    share = (weights - exponent[..., None, :]).exp()
    return Mean((share * v).sum(-2), share.sum(-2), exponent)


def _added(one: Mean, other: Mean) -> Mean:
    """The sums of both."""
    exponent = torch.maximum(one.exponent, other.exponent).detach()
    first, second = ((part.exponent - exponent).exp() for part in (one, other))
    return Mean(
        first * one.numerator + second * other.numerator,
        first * one.denominator + second * other.denominator,
        exponent,
    )


def _moved(starts: Mean, before: Tensor) -> Mean:
    """The state at the start of a chunk as each token of it sees it."""
    numerator, denominator, exponent = (part[..., None, :] for part in starts)
    return Mean(numerator, denominator, exponent + before)


def _carried(ends: Mean, decay: Tensor, state: Mean) -> tuple[Mean, Mean]:
    """The state at the start of each chunk, and the one behind the last."""
    starts: list[Mean] = []
    decays = decay.expand_as(ends.exponent).unbind(1)
    for *end, more in zip(*(part.unbind(1) for part in ends), decays, strict=True):
        starts.append(state)
        kept = Mean(state.numerator, state.denominator, state.exponent + more)
        state = _added(kept, Mean(*end))
    return Mean(*(torch.stack(parts, dim=1) for parts in zip(*starts, strict=True))), state
