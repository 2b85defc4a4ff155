r"""Pinwheel: five Gaussian blades, bent by a rotation that grows with the radius.

A point of blade k is $x = R(\varphi_k(|w|))\,w$ with $w \sim \mathcal N((2, 0),
\operatorname{diag}(0.6^2, 0.2^2))$ and $\varphi_k(r) = 2\pi k/5 + \tfrac14 e^{r/2}$. A rotation by
a function of the radius keeps radius and area, so the inverse is $w = R(-\varphi_k(|x|))\,x$, the
determinant is 1 and $p(x) = \frac15 \sum_k \mathcal N(R(-\varphi_k(|x|))\,x)$ exactly. (The
original bends by the first coordinate of w, which has no closed inverse.)

Sources: arXiv:1603.06277 (the shape).
"""

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from typing_extensions import override

from danlu.data.densities.density import Density, normal

BLADES = 5
CENTRE = (2.0, 0.0)
SCALES = (0.6, 0.2)


class Pinwheel(Density):
    """Five bent blades."""

    reach = 6.5

    @override
    def draw(self, n: int, generator: torch.Generator) -> Float64[Tensor, "n 2"]:
        blade = torch.randint(BLADES, (n,), generator=generator)
        noise = normal(n, generator)
        w = noise * noise.new_tensor(SCALES) + noise.new_tensor(CENTRE)
        return _rotate(w, _angle(w, blade))

    @override
    def log_density(self, x: Float[Tensor, "batch 2"]) -> Float64[Tensor, " batch"]:
        x = x.double()
        blades = torch.arange(BLADES, device=x.device)
        w = _rotate(x[:, None], -_angle(x[:, None], blades))
        z = (w - x.new_tensor(CENTRE)) / x.new_tensor(SCALES)
        log_normaliser = math.log(2 * math.pi * math.prod(SCALES) * BLADES)
        return torch.logsumexp(-0.5 * z.square().sum(-1), dim=1) - log_normaliser


def _angle(x: Float64[Tensor, "*batch 2"], blade: Tensor) -> Float64[Tensor, "*blades"]:
    return blade.double() * (2 * math.pi / BLADES) + (x.norm(dim=-1) / 2).exp() / 4


def _rotate(
    x: Float64[Tensor, "*batch 2"], angle: Float64[Tensor, "*blades"]
) -> Float64[Tensor, "*blades 2"]:
    cos, sin = angle.cos(), angle.sin()
    across, up = x[..., 0], x[..., 1]
    return torch.stack((cos * across - sin * up, sin * across + cos * up), dim=-1)
