r"""The recurrence with a decay for each feature of the key.

It is $S_t = g_t \circ S_{t-1} + k_t v_t^\top$, $o_t = S_t^\top q_t$. Inside a chunk the score of
token i for token j is $\sum_d q_{id} k_{jd} e^{c_{id} - c_{jd}}$, $c$ the summed logarithms. It
is no product of matrices, and $e^{c_i} e^{-c_j}$ overflows. So a block of tokens is
halved: for i in the later half and j in the earlier one, with r the last token of the earlier half,
$e^{c_i - c_r}$ and $e^{c_r - c_j}$ are both at most 1 and the block of scores is a product; each
half is halved again. The exponents are never positive, and the cost is that of
$\log_2$ of the chunk passes over q and k.

With a bonus $u$ a token is read before it is stored,
$o_t = (S_{t-1} + u \circ k_t v_t^\top)^\top q_t$.

Sources: arXiv:2312.06635 §4 (the recurrence); arXiv:2404.05892 eq. 19 (bonus).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from danlu.layers.scans.chunks import (
    CHUNKED,
    Run,
    begun,
    carried,
    in_chunks,
    scan,
    silenced,
    tamed,
    wide,
)

CHUNK = 32


def vector_scan(
    q: Float[Tensor, "batch heads length keys"],
    k: Float[Tensor, "batch heads length keys"],
    v: Float[Tensor, "batch heads length values"],
    log_decay: Float[Tensor, "batch heads length keys"],
    state: Float[Tensor, "batch heads keys values"] | None = None,
    *,
    bonus: Float[Tensor, "heads keys"] | None = None,
    run: Run = CHUNKED,
) -> tuple[Float[Tensor, "batch heads length values"], Float[Tensor, "batch heads keys values"]]:
    """The reads and the last state.

    Args:
        q: what is asked.
        k: under which values are stored.
        v: what is stored.
        log_decay: logarithm of the decay of each feature, at most 0.
        state: before the first token.
        bonus: the weight of a token for itself, which is then read before it is stored.
        run: form, padding and size of a chunk.
    """
    before = begun(state, k, v)
    if not v.shape[2]:
        return v, before
    k, log_decay = silenced(k, run.valid), tamed(log_decay, run.valid)
    parts = (q, k, v, log_decay)
    if bonus is not None:
        # What a token gives to itself is apart from the memory.
        own = (q * bonus[:, None] * k).sum(-1, keepdim=True) * v
        y, after = scan(_block_before, _step_before, parts, before, run, CHUNK)
        return y + own, after
    return scan(_block_after, _step_after, parts, before, run, CHUNK)


def _block_after(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    total = in_chunks(log_decay, size).cumsum(-2)
    own = in_chunks((q * k).sum(-1), size)
    return _block(q, k, v, (total, total, own), state, size)


def _block_before(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    total = in_chunks(log_decay, size).cumsum(-2)
    before = pad(total[..., :-1, :], (0, 0, 1, 0))
    return _block(q, k, v, (total, before, torch.zeros_like(before[..., 0])), state, size)


def _block(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    logs: tuple[Tensor, Tensor, Tensor],
    state: Tensor,
    size: int,
) -> tuple[Tensor, Tensor]:
    """Chunks from the sums at each token, those at which it reads, and its scores of itself."""
    total, read, own = logs
    q, k, v = (in_chunks(part, size) for part in (q, k, v))
    scores = _scores(q, k, total, read, own.to(q.dtype))
    end = total[..., -1:, :]
    added = (k * (end - total).exp().to(k.dtype)).transpose(-2, -1) @ v
    starts, state = carried(added.to(state.dtype), end.exp().transpose(-2, -1), state)
    y = scores @ v + (q * read.exp().to(q.dtype)) @ starts.to(q.dtype)
    return y.flatten(2, 3), state


def _scores(
    q: Tensor, k: Tensor, total: Tensor, read: Tensor, own: Tensor
) -> Float[Tensor, "batch heads chunks size size"]:
    """The scores inside a chunk, from single tokens to ever larger blocks."""
    size = q.shape[-2]
    missing = (1 << (size - 1).bit_length()) - size
    if missing:  # what is added stands behind, and is cut off
        q, k, total, read = (pad(part, (0, 0, 0, missing)) for part in (q, k, total, read))
        own = pad(own, (0, missing))
    blocks, half = own[..., None, None], 1  # [batch, heads, chunks, blocks, half, half]
    while half < q.shape[-2]:
        pairs = [part.unflatten(-2, (-1, 2, half)) for part in (q, k, total, read)]
        (_, late), (early, _), (before, _), (_, after) = (pair.unbind(-3) for pair in pairs)
        reference = before[..., -1:, :]
        rows = late * (after - reference).exp().to(q.dtype)
        columns = early * (reference - before).exp().to(q.dtype)
        first, second = blocks.unflatten(-3, (-1, 2)).unbind(-3)
        upper = pad(first, (0, half))
        lower = torch.cat([rows @ columns.transpose(-2, -1), second], dim=-1)
        blocks, half = torch.cat([upper, lower], dim=-2), 2 * half
    return blocks[..., 0, :size, :size]


def _step_after(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    state = log_decay.exp()[..., None] * state + k[..., None] * v[..., None, :]
    return _read(q, state).to(v.dtype), state


def _step_before(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    y = _read(q, state).to(v.dtype)
    return y, log_decay.exp()[..., None] * state + k[..., None] * v[..., None, :]


def _read(q: Tensor, state: Tensor) -> Tensor:
    return (q[..., None, :].to(wide(q)) @ state)[..., 0, :]
