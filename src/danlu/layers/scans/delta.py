r"""The delta rule: a value replaces what the state holds under its key.

$S_t = g_t (I - \beta_t k_t k_t^\top) S_{t-1} + \beta_t k_t v_t^\top$. With
$w_t = \beta_t (v_t - g_t S_{t-1}^\top k_t)$ this is
$S_t = g_t S_{t-1} + k_t w_t^\top$, the recurrence with one decay for each head, and inside a chunk,
$c$ the summed logarithms of $g$ and $S$ the state before it, the $w$ solve the triangular system

$$w_i + \beta_i \sum_{j<i} e^{c_i - c_j} (k_i^\top k_j) w_j = \beta_i (v_i - e^{c_i} S^\top k_i).$$

Sources: arXiv:2412.06464 eq. 10 and §3.3; arXiv:2406.06484 §3 (chunks).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.layers.precision import wide
from danlu.layers.scans.chunks import (
    CHUNKED,
    Keys,
    Memory,
    Run,
    Values,
    begun,
    decays,
    scan,
    silenced,
    summed,
    tamed,
)

CHUNK = 32


def delta_scan(
    q: Keys,
    k: Keys,
    v: Values,
    strength: Float[Tensor, "batch heads length"],
    log_decay: Float[Tensor, "#batch #heads #length"] | None = None,
    state: Memory | None = None,
    *,
    run: Run = CHUNKED,
) -> tuple[Values, Memory]:
    r"""The reads and the last state.

    Args:
        q: what is asked.
        k: under which values are stored; of norm 1, or the state may grow.
        v: what is stored.
        strength: $\beta_t$: 0 stores nothing, 1 replaces, 2 reflects.
        log_decay: logarithm of $g_t$, at most 0; None keeps all.
        state: before the first token.
        run: form, padding and size of a chunk.
    """
    before = begun(state, k, v)
    log_decay = v.new_zeros(1, 1, 1) if log_decay is None else tamed(log_decay, run.valid)
    parts = (q, k, v, silenced(strength, run.valid), log_decay)
    y, after = scan(_block, _step, [part.to(wide(v)) for part in parts], before, run, CHUNK)
    return y.to(v.dtype), after


def _block(
    q: Tensor, k: Tensor, v: Tensor, strength: Tensor, log_decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    total = summed(log_decay)
    left, from_start = decays(total), total.from_start().exp()[..., None]
    known, free = _solved(k, v, strength[..., None], left, from_start)
    scores = (q @ k.transpose(-2, -1)) * left
    to_end = k * total.to_end().exp()[..., None]
    kept = from_start[..., -1:, :]
    parts = [part.expand(*q.shape[:3], *part.shape[3:]) for part in (known, free, scores, to_end)]
    parts = [*parts, q * from_start, kept.expand(*q.shape[:3], 1, 1)]
    outputs: list[Tensor] = []
    for own, by_state, score, ending, asked, keep in zip(
        *(part.unbind(2) for part in parts), strict=True
    ):
        written = own - by_state @ state
        outputs.append(score @ written + asked @ state)
        state = keep * state + ending.transpose(-2, -1) @ written
    return torch.stack(outputs, dim=2), state


def _solved(
    k: Tensor, v: Tensor, strength: Tensor, left: Tensor, from_start: Tensor
) -> tuple[Tensor, Tensor]:
    """What is written for a state of zeros, and how much less of it for each unit of state."""
    system = (strength * (k @ k.transpose(-2, -1)) * left).tril(-1)
    wanted = torch.cat([strength * v, strength * from_start * k], dim=-1)
    solved = torch.linalg.solve_triangular(system, wanted, upper=False, unitriangular=True)
    known, free = solved.split([v.shape[-1], k.shape[-1]], dim=-1)
    return known, free


def _step(
    q: Tensor, k: Tensor, v: Tensor, strength: Tensor, log_decay: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    state = log_decay.exp()[..., None, None] * state
    written = strength[..., None] * (v - (k[..., None, :] @ state)[..., 0, :])
    state = state + k[..., None] * written[..., None, :]
    return (q[..., None, :] @ state)[..., 0, :], state
