r"""The recurrence with one decay for each head: $S_t = g_t S_{t-1} + k_t v_t^\top$.

With $a_t = \log g_t$ summed to $c_t$ it is the masked product
$o = (L \circ q k^\top) v$, $L_{ij} = e^{c_i - c_j}$ for $j \le i$: all at once in the parallel
form; in chunks the product inside a chunk and one state between chunks. Where nothing decays
$L$ is a triangle of ones and the states are running sums.

Sources: arXiv:2405.21060 eq. 6 and §6; arXiv:2307.08621 eq. 5-7.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.layers import kernels
from danlu.layers.precision import wide
from danlu.layers.scans.chunks import (
    CHUNKED,
    Memory,
    Run,
    SharedKeys,
    Values,
    added,
    begun,
    by_kernel,
    carried,
    decays,
    scan,
    silenced,
    summed,
    tamed,
)

CHUNK = 64


def scalar_scan(
    q: SharedKeys,
    k: SharedKeys,
    v: Values,
    log_decay: Float[Tensor, "#batch #heads #length"] | None = None,
    state: Memory | None = None,
    *,
    run: Run = CHUNKED,
) -> tuple[Values, Memory]:
    """The reads and the last state.

    Args:
        q: what is asked; one head serves all, as for k.
        k: under which values are stored.
        v: what is stored.
        log_decay: logarithm of the decay, at most 0; an axis of size 1 is constant; None keeps all.
        state: before the first token.
        run: form, padding and size of a chunk.
    """
    before = begun(state, k, v)
    parts = (q, silenced(k, run.valid), v)
    if log_decay is not None:
        log_decay = tamed(log_decay, run.valid)
    if by_kernel(v, run):
        return kernels.decayed_sums(*parts, log_decay, before)
    if log_decay is None:
        return scan(_block_of_sums, step_of_sums, parts, before, run, CHUNK)
    return scan(_block, _step, (*parts, log_decay), before, run, CHUNK)


def _block(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    total = summed(log_decay)
    scores = (q @ k.transpose(-2, -1)) * decays(total).to(q.dtype)
    to_end = total.to_end().exp().to(v.dtype)
    new = k.transpose(-2, -1) @ (v * to_end[..., None])
    from_start = total.from_start().exp()
    starts, state = carried(new.to(state.dtype), from_start[..., -1, None, None], state)
    from_start = from_start.to(q.dtype)[..., None]
    y = added((q * from_start) @ starts.to(q.dtype), scores, v)
    return y, state


def _step(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    return step_of_sums(q, k, v, log_decay.exp()[..., None, None] * state)


def _block_of_sums(q: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    scores = (q @ k.transpose(-2, -1)).tril()
    total = running(state, k.transpose(-2, -1) @ v)
    y = added(q @ total[:, :, :-1].to(q.dtype), scores, v)
    return y, total[:, :, -1]


def running(
    before: Float[Tensor, "batch heads keys values"], new: Tensor
) -> Float[Tensor, "batch heads chunks_and_one keys values"]:
    """Running sums: at the start of each chunk, and behind the last; `new` may be of one head."""
    new = new.to(before.dtype).expand(*before.shape[:2], *new.shape[2:])
    return torch.cat([before[:, :, None], new], dim=2).cumsum(2)


def step_of_sums(q: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """One token where nothing decays."""
    state = state + k[..., None] * v[..., None, :]
    return (q[..., None, :].to(wide(q)) @ state)[..., 0, :].to(v.dtype), state
