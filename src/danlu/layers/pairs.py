"""Complex numbers as pairs of real ones in the last axis, which compilers and optimisers take."""

import torch
from jaxtyping import Float
from torch import Tensor

Pair = Float[Tensor, "*batch 2"]


def times(a: Float[Tensor, "*left 2"], b: Float[Tensor, "*right 2"]) -> Float[Tensor, "*both 2"]:
    """The product of complex numbers."""
    real, imaginary = a.unbind(-1)
    their_real, their_imaginary = b.unbind(-1)
    return torch.stack(
        [
            real * their_real - imaginary * their_imaginary,
            real * their_imaginary + imaginary * their_real,
        ],
        dim=-1,
    )


def conjugate(a: Pair) -> Pair:
    """The complex conjugate."""
    return torch.stack([a[..., 0], -a[..., 1]], dim=-1)


def divided(a: Float[Tensor, "*left 2"], b: Float[Tensor, "*right 2"]) -> Float[Tensor, "*both 2"]:
    """A quotient of complex numbers."""
    return times(a, conjugate(b)) / b.square().sum(-1, keepdim=True)


def twice_real(a: Float[Tensor, "*batch states 2"]) -> Float[Tensor, "*batch"]:
    """The sum of numbers and of their conjugates, which a half of them stands for."""
    return 2 * a[..., 0].sum(-1)


def as_complex(a: Float[Tensor, "*batch 2"]) -> Tensor:
    """The same as a complex tensor, for Fourier forms."""
    return torch.view_as_complex(a.contiguous())
