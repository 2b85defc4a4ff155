r"""Means of values with weights $q_t \cdot k_j$ over the tokens up to each.

$$o_t = \frac{\sum_{j \le t} (q_t \cdot k_j)\, v_j}{\sum_{j \le t} q_t \cdot k_j}$$

in chunks, as the recurrence without decay whose state carries the sum of keys beside that of
$k_j v_j^\top$. The weights of a chunk are products that are made anyway, so the divisor costs a sum
of them and a product with one vector.

Sources: arXiv:2006.16236 eq. 9-12, 18-20.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from danlu.layers import kernels
from danlu.layers.precision import wide
from danlu.layers.scans.chunks import (
    CHUNKED,
    Run,
    added,
    begun,
    by_kernel,
    in_chunks,
    scan,
    silenced,
)
from danlu.layers.scans.scalar import CHUNK, running, step_of_sums

Values = Float[Tensor, "batch heads *length values"]


def normalised_scan(
    q: Float[Tensor, "batch #heads length keys"],
    k: Float[Tensor, "batch #heads length keys"],
    v: Float[Tensor, "batch heads length values"],
    state: Float[Tensor, "batch heads keys values_and_one"] | None = None,
    *,
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
        run: form, padding and size of a chunk.
    """
    before = begun(state, k, pad(v[:, :, :0], (0, 1)))
    if not v.shape[2]:
        return v, before
    parts = (q, silenced(k, run.valid), v)
    if by_kernel(v, run):
        return kernels.means(*parts, before)
    return scan(_block, _step, parts, before, run, CHUNK)


def divided(y: Values, weight: Float[Tensor, "batch heads *length 1"]) -> Values:
    """Weighted sums of values by the sum of the weights; 0 where nothing is seen."""
    return (y / weight.clamp(min=torch.finfo(weight.dtype).tiny)).to(y.dtype)


def _block(q: Tensor, k: Tensor, v: Tensor, state: Tensor, size: int) -> tuple[Tensor, Tensor]:
    q, k, v = (in_chunks(part, size) for part in (q, k, v))
    scores = (q @ k.transpose(-2, -1)).tril()
    products = running(state[..., :-1], k.transpose(-2, -1) @ v)
    keys = running(state[..., -1:], k.sum(-2)[..., None])
    y = added(q @ products[:, :, :-1].to(q.dtype), scores, v)
    weight = scores.sum(-1, keepdim=True, dtype=wide(q)) + q @ keys[:, :, :-1].to(q.dtype)
    behind = torch.cat([products[:, :, -1], keys[:, :, -1]], dim=-1)
    return divided(y, weight).flatten(2, 3), behind


def _step(q: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    both, state = step_of_sums(q, k, pad(v, (0, 1), value=1.0), state)
    return divided(both[..., :-1], both[..., -1:]), state
