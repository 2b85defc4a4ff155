r"""The recurrence with a decay for each feature of the key.

It is $S_t = g_t \circ S_{t-1} + k_t v_t^\top$, $o_t = S_t^\top q_t$. Inside a chunk the score of
token i for token j is $\sum_d q_{id} k_{jd} e^{c_{id} - c_{jd}}$, $c$ the summed logarithms. It
is no product of matrices, and $e^{c_i} e^{-c_j}$ overflows. So a block of tokens is
halved: for i in the later half and j in the earlier one, with r the last token of the earlier half,
$e^{c_i - c_r}$ and $e^{c_r - c_j}$ are both at most 1 and the block of scores is a product; each
half is halved again. The exponents are sums of a few logarithms, never differences of large sums,
and never positive; the cost is that of $\log_2$ of the chunk passes over q and k.

With a bonus $u$ a token is read before it is stored,
$o_t = (S_{t-1} + u \circ k_t v_t^\top)^\top q_t$.

Sources: arXiv:2312.06635 §4 (the recurrence); arXiv:2404.05892 eq. 19 (bonus).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from danlu.layers.precision import wide
from danlu.layers.scans.chunks import (
    CHUNKED,
    Keys,
    Memory,
    Run,
    Values,
    begun,
    carried,
    scan,
    silenced,
    tamed,
)

CHUNK = 32


def vector_scan(
    q: Keys,
    k: Keys,
    v: Values,
    log_decay: Keys,
    state: Memory | None = None,
    *,
    bonus: Float[Tensor, "heads keys"] | None = None,
    run: Run = CHUNKED,
) -> tuple[Values, Memory]:
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
    k, log_decay = silenced(k, run.valid), tamed(log_decay, run.valid)
    parts = (q, k, v, log_decay)
    if bonus is not None:
        # What a token gives to itself is apart from the memory.
        own = (q * bonus[:, None] * k).sum(-1, keepdim=True) * v
        y, after = scan(_block_before, _step_before, parts, before, run, CHUNK)
        return y + own, after
    return scan(_block_after, _step_after, parts, before, run, CHUNK)


def _block_after(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    return _block(q, k, v, (log_decay, log_decay, (q * k).sum(-1)), state)


def _block_before(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    nothing = torch.zeros_like(log_decay)
    return _block(q, k, v, (log_decay, nothing, nothing[..., 0]), state)


def _block(
    q: Tensor, k: Tensor, v: Tensor, logs: tuple[Tensor, Tensor, Tensor], state: Tensor
) -> tuple[Tensor, Tensor]:
    """Chunks from the decay of each token, what of it precedes its read, and its own score."""
    log_decay, first, own = logs
    scores, read, left, kept = _scores(q, k, log_decay, first, own.to(q.dtype))
    added = (k * left.exp().to(k.dtype)).transpose(-2, -1) @ v
    starts, state = carried(added.to(state.dtype), kept.exp().transpose(-2, -1), state)
    y = scores @ v + (q * read.exp().to(q.dtype)) @ starts.to(q.dtype)
    return y, state


def _scores(
    q: Tensor, k: Tensor, log_decay: Tensor, first: Tensor, own: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The scores inside a chunk, from single tokens to ever larger blocks.

    Also the logarithms of what is left of the start of the chunk where each token reads, of each
    token at the end, and of the start at the end. All are sums of neighbours, never differences.
    """
    size = q.shape[-2]
    missing = (1 << (size - 1).bit_length()) - size
    if missing:  # what is added stands behind, and is cut off
        q, k, log_decay, first = (pad(p, (0, 0, 0, missing)) for p in (q, k, log_decay, first))
        own = pad(own, (0, missing))
    blocks, half = own[..., None, None], 1  # [batch, heads, chunks, blocks, half, half]
    kept, read = log_decay[..., None, :], first[..., None, :]  # [..., blocks, 1 or half, keys]
    left = torch.zeros_like(kept)
    while half < q.shape[-2]:
        (_, late), (early, _) = (part.unflatten(-2, (-1, 2, half)).unbind(-3) for part in (q, k))
        (read, after), (before, left), (one, two), (upper, lower) = (
            part.unflatten(-3, (-1, 2)).unbind(-3) for part in (read, left, kept, blocks)
        )
        across = (late * after.exp().to(q.dtype)) @ (early * before.exp().to(q.dtype)).mT
        upper, lower = pad(upper, (0, half)), torch.cat([across, lower], dim=-1)
        blocks, half = torch.cat([upper, lower], dim=-2), 2 * half
        read = torch.cat([read, one + after], dim=-2)
        left = torch.cat([before + two, left], dim=-2)
        kept = one + two
    blocks, read, left = (part[..., 0, :size, :] for part in (blocks, read, left))
    return blocks[..., :size], read, left, kept[..., 0, :, :]


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
