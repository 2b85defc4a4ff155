r"""A linear system for each channel that is the same at all times: one number in, one out.

$h_t = \bar A h_{t-1} + \bar B u_t$, $y_t = C h_t$ with a real state $h$. What a chunk of tokens
needs is known beforehand: how an input is written, $\bar A^k \bar B$, how the state is read,
$C \bar A^k$, and the kernel $K_k = C \bar A^k \bar B$. Inside a chunk the output is a product with
a Toeplitz matrix, between chunks the state goes on: work and memory are linear in the length.

Sources: arXiv:2111.00396 eq. 3-5; arXiv:2405.21060 §6 (chunks).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

Inputs = Float[Tensor, "batch length channels"]
Orbit = Float[Tensor, "count channels values"]
Reading = Float[Tensor, "more channels values"]
Memory = Float[Tensor, "batch channels values"]
Advance = Callable[[int], Callable[[Tensor], Tensor]]
"""`advance(k)(h)`: a state k tokens later, while nothing enters."""


def orbit(
    matrix: Float[Tensor, "channels values values"],
    vector: Float[Tensor, "channels values"],
    count: int,
) -> Orbit:
    """`vector`, `matrix` times it, and so on: `count` of them, doubled until there are enough."""
    found = vector[None]
    while len(found) < count:
        found = torch.cat([found, (matrix @ found[..., None])[..., 0]])
        matrix = matrix @ matrix
    return found[:count]


def in_chunks(
    u: Inputs, write: Orbit, read: Reading, advance: Advance, start: Memory
) -> tuple[Inputs, Memory]:
    """Outputs and the last state.

    Args:
        u: at least one token.
        write: as many powers as a chunk has tokens, and no more than there are tokens.
        read: one more than that.
        advance: the system without input.
        start: the state before the first token.
    """
    before, last = carried(u, write, advance, start)
    kernel = torch.einsum("kdn,dn->dk", read[:-1], write[0])
    number, length = before.shape[1], u.shape[1]
    u = pad(u, (0, 0, 0, number * len(write) - length)).unflatten(1, (number, len(write)))
    y = torch.einsum("dts,bgsd->bgtd", toeplitz(kernel), u)
    return y.flatten(1, 2)[:, :length] + recalled(before, read)[:, :length], last


def carried(
    u: Inputs, write: Orbit, advance: Advance, start: Memory
) -> tuple[Float[Tensor, "batch chunks channels values"], Memory]:
    """The states before each chunk, the last of which may be shorter, and after the last token."""
    chunk, states = len(write), [start]
    parts = u.split(chunk, dim=1)
    # Once for each length: a power of a matrix in every chunk would cost more than the sequence.
    later = {size: advance(size) for size in dict.fromkeys(part.shape[1] for part in parts)}
    for part in parts:
        new = torch.einsum("btd,tdn->bdn", part, write[: part.shape[1]].flip(0))
        states.append(later[part.shape[1]](states[-1]) + new)
    return torch.stack(states[:-1], dim=1), states[-1]


def recalled(
    before: Float[Tensor, "batch chunks channels values"], read: Reading
) -> Float[Tensor, "batch length channels"]:
    """What the states before the chunks give to the outputs."""
    return torch.einsum("bgdn,tdn->bgtd", before, read[1:]).flatten(1, 2)


def by_fourier(
    u: Float[Tensor, "batch length *axes"], kernel: Float[Tensor, "*axes length"]
) -> Float[Tensor, "batch length *axes"]:
    """The outputs from an empty state by the Fourier transform of twice the length."""
    length = u.shape[1]
    parts = (u, kernel.movedim(-1, 0)[None])
    ours, theirs = (torch.fft.rfft(part, n=2 * length, dim=1) for part in parts)
    return torch.fft.irfft(ours * theirs, n=2 * length, dim=1)[:, :length]


def toeplitz(kernel: Float[Tensor, "channels count"]) -> Float[Tensor, "channels count count"]:
    """The matrix of a causal convolution."""
    index = torch.arange(kernel.shape[1], device=kernel.device)
    behind = index[:, None] - index
    return kernel[:, behind.clamp(min=0)] * (behind >= 0)
