r"""A recurrence with a fixed decay for each entry of the state, real or complex.

$h_t = \lambda h_{t-1} + u_t$ for each state. A complex number is a pair of real ones, and
$\lambda^k$ a block: $p \times p$ with $p = 1$ for real decays and, for
$\lambda = e^{-a + i\theta}$, $e^{-ak}$ times the rotation by $\theta k$, $p = 2$. No complex type
occurs but in the Fourier form, so that compilers can take the others.

Three forms: `scan` in chunks, whose work and memory are linear in the length (one chunk as long as
the sequence is the parallel form); `by_fourier`; and a step, $h \leftarrow \lambda h + u$.

Sources: arXiv:2303.06349 §2 and appendix A (diagonal linear recurrences); kexue.fm/archives/9554.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.layers.scans import state_space

Powers = Float[Tensor, "count *state part part"]


def powers(
    log_size: Float[Tensor, "*state"], angle: Float[Tensor, "*state"] | None, count: int
) -> Powers:
    r"""$\lambda^0, \ldots, \lambda^{count-1}$ as real blocks; `log_size` is that of the decay."""
    return powers_of(
        torch.arange(count, device=log_size.device, dtype=log_size.dtype), log_size, angle
    )


def powers_of(
    k: Float[Tensor, " count"],
    log_size: Float[Tensor, "*state"],
    angle: Float[Tensor, "*state"] | None,
) -> Powers:
    """The powers of the given exponents alone."""
    k = k.reshape(-1, *[1] * log_size.ndim)
    size = (k * log_size).exp()
    if angle is None:
        return size[..., None, None]
    cos, sin = size * (k * angle).cos(), size * (k * angle).sin()
    rows = torch.stack([cos, -sin], dim=-1), torch.stack([sin, cos], dim=-1)
    return torch.stack(rows, dim=-2)


def turned(
    block: Float[Tensor, "*left part part"], h: Float[Tensor, "*right part"]
) -> Float[Tensor, "*both part"]:
    """A block applied to each entry of a state."""
    return (block * h[..., None, :]).sum(-1)


def scan(
    u: Float[Tensor, "batch length state part"],
    power: Powers,
    start: Float[Tensor, "batch state part"],
) -> Float[Tensor, "batch length state part"]:
    """All states of the recurrence, chunk by chunk.

    Args:
        u: what enters at each token.
        power: blocks of `powers`; their number less one is the size of a chunk.
        start: the state before the first token.
    """
    batch, length, size, part = u.shape
    chunk = len(power) - 1
    number = -(-length // chunk)
    u = torch.nn.functional.pad(u, (0, 0, 0, 0, 0, number * chunk - length))
    index = torch.arange(chunk, device=u.device)
    behind = index[:, None] - index
    within = power[behind.clamp(min=0)] * (behind >= 0)[..., None, None, None]
    within = within.permute(2, 0, 3, 1, 4).reshape(size, chunk * part, chunk * part)
    columns = u.unflatten(1, (number, chunk)).permute(3, 2, 4, 0, 1)
    local = within @ columns.reshape(size, chunk * part, batch * number)
    local = local.reshape(size, chunk, part, batch, number)
    starts = [start]
    for last in local[:, -1].permute(3, 2, 0, 1).unbind(0):
        starts.append(turned(power[-1], starts[-1]) + last)
    before = torch.stack(starts[:-1], dim=-1).permute(1, 2, 0, 3).flatten(2)
    kept = power[1:].permute(1, 0, 2, 3).flatten(1, 2) @ before
    h = (local + kept.reshape(local.shape)).permute(3, 4, 1, 0, 2)
    return h.flatten(1, 2)[:, :length]


def by_fourier(
    u: Float[Tensor, "batch length state part"],
    power: Powers,
    start: Float[Tensor, "batch state part"],
) -> Float[Tensor, "batch length state part"]:
    """The same by a convolution through the Fourier transform; as many powers as tokens and one."""
    kernel = power[:-1, ..., 0].contiguous()
    if u.shape[-1] == 1:
        h = state_space.by_fourier(u, kernel.movedim(0, -1))
    else:
        pair = (torch.view_as_complex(part.contiguous()) for part in (u, kernel[None]))
        length = u.shape[1]
        left, right = (torch.fft.fft(part, n=2 * length, dim=1) for part in pair)
        h = torch.view_as_real(torch.fft.ifft(left * right, dim=1)[:, :length])
    return h + turned(power[1:], start[:, None])
