r"""Means of values with weights $q_t \cdot k_j$ over the tokens up to each.

$$o_t = \frac{\sum_{j \le t} (q_t \cdot k_j)\, v_j}{\sum_{j \le t} q_t \cdot k_j}$$

in chunks, as the recurrence without decay whose state carries the sum of keys beside that of
$k_j v_j^\top$. The weights of a chunk are products that are made anyway, so the divisor costs a sum
of them and a product with one vector.

Keys may be given as $e^{m_j} k_j$ with exponents of any size, as exponential features are.
`relative` keeps them relative to the largest exponent up to each token, $M_t$: $k_j$ enters as
$e^{m_j - M_j} k_j$ and what came before fades by $e^{M_{t-1} - M_t}$; both cancel in the quotient.
The largest exponent of all tokens would let those to come make the past zero.

Sources: arXiv:2006.16236 eq. 9-12, 18-20.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from danlu.layers import kernels
from danlu.layers.precision import wide
from danlu.layers.scans.chunks import (
    CHUNKED,
    Run,
    SharedKeys,
    added,
    begun,
    by_kernel,
    carried,
    decays,
    scan,
    shaped,
    silenced,
    summed,
    tamed,
)
from danlu.layers.scans.scalar import CHUNK, running, step_of_sums

Values = Float[Tensor, "batch heads *length values"]


def normalised_scan(
    q: SharedKeys,
    k: SharedKeys,
    v: Float[Tensor, "batch heads length values"],
    state: Float[Tensor, "batch heads keys values_and_one"] | None = None,
    *,
    log_decay: Float[Tensor, "batch heads length"] | None = None,
    run: Run = CHUNKED,
) -> tuple[
    Float[Tensor, "batch heads length values"], Float[Tensor, "batch heads keys values_and_one"]
]:
    """The means and the last state; 0 where nothing is seen.

    Args:
        q: features of what is asked; one head serves all, as for k.
        k: features under which values are stored.
        v: what is stored.
        state: before the first token: sums of products, and in its last column of keys.
        log_decay: of what came before each token, at most 0; None keeps all.
        run: form, padding and size of a chunk.
    """
    before = begun(state, k, pad(v[:, :, :0], (0, 1)))
    parts = (q, silenced(k, run.valid), v)
    if log_decay is not None:
        log_decay = tamed(log_decay, run.valid)
        if by_kernel(v, run):
            ones = pad(v, (0, 1), value=1.0)
            both, after = kernels.decayed_sums(*parts[:2], ones, log_decay, before)
            return divided(both[..., :-1], both[..., -1:]), after
        parts = (*parts, log_decay)
        return scan(_block_of_decays, _step_of_decays, parts, before, run, CHUNK)
    if by_kernel(v, run):
        return kernels.means(*parts, before)
    return scan(_block, _step, parts, before, run, CHUNK)


def _block_of_decays(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    total = summed(log_decay)
    scores = (q @ k.transpose(-2, -1)) * decays(total).to(q.dtype)
    to_end = total.to_end().exp().to(v.dtype)[..., None]
    new = k.transpose(-2, -1) @ torch.cat([v * to_end, to_end], dim=-1)
    from_start = total.from_start().exp()[..., None]
    starts, state = carried(new.to(state.dtype), from_start[..., -1:, :], state)
    asked = (q @ starts.to(q.dtype)) * from_start.to(q.dtype)
    weight = scores.sum(-1, keepdim=True, dtype=wide(q)) + asked[..., -1:]
    return divided(added(asked[..., :-1], scores, v), weight), state


def _step_of_decays(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    return _step(q, k, v, log_decay.exp()[..., None, None] * state)


class Relative(NamedTuple):
    """Exponents of keys relative to the largest up to each token.

    Attributes:
        factor: what the key of each token is multiplied by.
        log_decay: what remains of the keys before it, for the scan.
        largest: the largest exponent so far, for the state.
    """

    factor: Float[Tensor, "batch heads length"]
    log_decay: Float[Tensor, "batch heads length"]
    largest: Float[Tensor, "batch heads"]


@torch.no_grad()
def relative(
    exponent: Float[Tensor, "batch heads length"],
    largest: Float[Tensor, "batch heads"] | None,
    valid: Bool[Tensor, "batch length"] | None,
) -> Relative:
    """Exponents relative to the largest so far, which cancels: no gradient passes through it.

    Args:
        exponent: of each key.
        largest: before the first token.
        valid: False on padding.
    """
    lowest = torch.finfo(exponent.dtype).min
    if valid is not None:
        exponent = exponent.masked_fill(~shaped(valid, exponent), lowest)
    before = exponent.new_full(exponent.shape[:2], lowest) if largest is None else largest
    so_far = torch.cat([before[..., None], exponent], dim=-1).cummax(-1).values
    factor = (exponent - so_far[..., 1:]).exp()
    return Relative(factor, so_far[..., :-1] - so_far[..., 1:], so_far[..., -1])


def divided(y: Values, weight: Float[Tensor, "batch heads *length 1"]) -> Values:
    """Weighted sums of values by the sum of the weights; 0 where nothing is seen."""
    return (y / weight.clamp(min=torch.finfo(weight.dtype).tiny)).to(y.dtype)


def _block(q: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    scores = (q @ k.transpose(-2, -1)).tril()
    products = running(state[..., :-1], k.transpose(-2, -1) @ v)
    keys = running(state[..., -1:], k.sum(-2)[..., None])
    y = added(q @ products[:, :, :-1].to(q.dtype), scores, v)
    weight = scores.sum(-1, keepdim=True, dtype=wide(q)) + q @ keys[:, :, :-1].to(q.dtype)
    behind = torch.cat([products[:, :, -1], keys[:, :, -1]], dim=-1)
    return divided(y, weight), behind


def _step(q: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    both, state = step_of_sums(q, k, pad(v, (0, 1), value=1.0), state)
    return divided(both[..., :-1], both[..., -1:]), state
