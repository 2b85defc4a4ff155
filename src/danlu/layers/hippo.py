r"""HiPPO: the coefficients of the past in orthogonal functions, and the systems that keep them.

With $\varphi_n(x) = \sqrt{2n + 1} P_n(2x - 1)$, orthonormal on $[0, 1]$, the measure of LegS is the
whole past, $c_n(t) = \frac1t \int_0^t f(s) \varphi_n(s / t)\,ds$, that of LegT and of the Fourier
functions the last $w$ tokens. The derivative of $c$ is linear in $c$ and $f$.

A token is held from its time to the next: then LegS is exact. Over a step from $s$ to $t$,
$r = s / t$, the old coefficients become $c_n \leftarrow r \sum_m \int_0^1 \varphi_n(r x)
\varphi_m(x)\,dx\; c_m$, a Gauss sum without error, and a token adds the integral of $\varphi_n$
over its share of the past.

Sources: arXiv:2008.07669 §2.3, theorem 2 and appendix D; kexue.fm/archives/10114.
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def legendre(x: Float[Tensor, "*batch"], count: int) -> Float[Tensor, "*batch count"]:
    r"""$P_0(2x - 1), \ldots, P_{count-1}(2x - 1)$ by their recurrence."""
    y = 2 * x - 1
    found = [torch.ones_like(y), y]
    for n in range(1, count - 1):
        found.append(((2 * n + 1) * y * found[n] - n * found[n - 1]) / (n + 1))
    return torch.stack(found[:count], dim=-1)


def norms(count: int, like: Tensor) -> Float[Tensor, " count"]:
    r"""$\sqrt{2n + 1}$."""
    return (2 * torch.arange(count, dtype=like.dtype, device=like.device) + 1).sqrt()


def orthonormal(x: Float[Tensor, "*batch"], count: int) -> Float[Tensor, "*batch count"]:
    """The functions, orthonormal on [0, 1]."""
    return legendre(x, count) * norms(count, x)


def integral(x: Float[Tensor, "*batch"], count: int) -> Float[Tensor, "*batch count"]:
    """Their integrals from 0 to x."""
    p = legendre(x, count + 1)
    # (2n + 1) P_n is the derivative of P_{n+1} - P_{n-1}, and dx = dy / 2; P_{-1} stands for -1.
    before = torch.cat([-torch.ones_like(p[..., :1]), p[..., : count - 1]], dim=-1)
    return (p[..., 1:] - before) / (2 * norms(count, x))


def gauss(count: int) -> tuple[Float[Tensor, " count"], Float[Tensor, " count"]]:
    """Nodes and weights on [0, 1], exact below degree 2 count, in float64."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)


def rescaled(
    ratio: Float[Tensor, "*batch"],
    nodes: Float[Tensor, " count"],
    weights: Float[Tensor, " count"],
) -> Float[Tensor, "*batch count count"]:
    """What LegS coefficients become when the past has shrunk to a share of the whole.

    Args:
        ratio: the share.
        nodes: of `gauss`, as many as there are coefficients.
        weights: of `gauss`.
    """
    count = len(nodes)
    wide = orthonormal(ratio[..., None] * nodes, count).mT * weights
    return ratio[..., None, None] * (wide @ orthonormal(nodes, count))


def legs_system(count: int) -> tuple[Float[Tensor, "count count"], Float[Tensor, " count"]]:
    r"""$A$ and $B$ of LegS, $\dot c = \frac1t (A c + B f)$, in float64."""
    n = torch.arange(count, dtype=torch.float64)
    b = (2 * n + 1).sqrt()
    return -(torch.outer(b, b).tril(-1) + torch.diag(n + 1)), b


def legt_system(count: int) -> tuple[Float[Tensor, "count count"], Float[Tensor, " count"]]:
    r"""$A$ and $B$ of LegT for a window of length 1, in float64."""
    n = torch.arange(count, dtype=torch.float64)
    b = (2 * n + 1).sqrt()
    sign = (-1.0) ** (n[:, None] - n)
    return -torch.outer(b, b) * torch.where(n[:, None] < n, sign, 1.0), b


def fourier_system(count: int) -> tuple[Float[Tensor, "count count"], Float[Tensor, " count"]]:
    r"""$A$ and $B$ for $1, \sqrt2\cos 2\pi n x, \sqrt2\sin 2\pi n x$ on a window of length 1."""
    ends = torch.full((count,), math.sqrt(2), dtype=torch.float64)
    ends[0], ends[2::2] = 1.0, 0.0  # the functions at both ends
    # Their sum there is the mean of the ends: what leaves is twice it less what enters.
    a, b = -2 * torch.outer(ends, ends), 2 * ends
    for n in range(1, (count + 1) // 2):
        turn = 2 * math.pi * n
        a[2 * n - 1, 2 * n] += turn
        a[2 * n, 2 * n - 1] -= turn
    return a, b


def fourier(x: Float[Tensor, "*batch"], count: int) -> Float[Tensor, "*batch count"]:
    """The functions of `fourier_system`, orthonormal on [0, 1]."""
    n = torch.arange(1, (count + 1) // 2, dtype=x.dtype, device=x.device)
    angle = 2 * math.pi * x[..., None] * n
    waves = torch.stack([angle.cos(), angle.sin()], dim=-1).flatten(-2) * math.sqrt(2)
    return torch.cat([torch.ones_like(x)[..., None], waves], dim=-1)


def held(
    system: tuple[Float[Tensor, "count count"], Float[Tensor, " count"]], window: float
) -> tuple[Float[Tensor, "count count"], Float[Tensor, " count"]]:
    """A step of one token of a window of some tokens, exact for an input that is held."""
    a, b = system
    joined = torch.zeros(len(b) + 1, len(b) + 1, dtype=a.dtype)
    joined[:-1, :-1], joined[:-1, -1] = a / window, b / window
    step = torch.linalg.matrix_exp(joined)
    return step[:-1, :-1], step[:-1, -1]
