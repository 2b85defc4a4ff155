r"""EDM: a denoiser whose input, output and loss have unit size at every noise level.

With data of deviation $\sigma_d = 1/2$, $D(y, \hat\sigma) = c_{skip}\,y + c_{out}\,
F_\theta(c_{in}\,y, \tfrac14\ln\hat\sigma)$, where

$c_{skip} = \frac{\sigma_d^2}{\hat\sigma^2+\sigma_d^2}$,
$c_{out} = \frac{\hat\sigma\sigma_d}{\sqrt{\hat\sigma^2+\sigma_d^2}}$,
$c_{in} = \frac{1}{\sqrt{\hat\sigma^2+\sigma_d^2}}$

leave the network a residual of unit variance. Training draws $\ln\hat\sigma \sim N(-1.2, 1.2^2)$
and counts the error of D by $\lambda = 1/c_{out}^2$, that is the error of F by 1. Samples follow
$dy/d\hat\sigma = (y - D)/\hat\sigma$ by Heun's rule over levels that are even in their seventh
root, with churn when asked for.

Use it as the most robust parametrisation; a rectified flow is simpler and needs no scale of the
data.

Sources: arXiv:2206.00364 tab. 1, eq. 5 and 7, alg. 1 and 2.
"""

from dataclasses import dataclass
from typing import ClassVar

from danlu.generative.diffusion.building import builder
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.parts import Parts
from danlu.generative.diffusion.recipes import usual

PARTS = Parts(
    path="edm", prediction="edm", preconditioner="edm", weighting="edm", times="log-normal"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class EDMOptions(DiffusionOptions):
    """Options of sampling and likelihood, with the sampler of the source."""

    solver: str = "stochastic-heun"
    grid: str = "karras"
    evaluations: int = 35


class EDM(DiffusionModel):
    """A preconditioned denoiser over noise levels from 0.002 to 80."""

    Options: ClassVar[type] = EDMOptions


build = builder(EDM, PARTS)


RECIPES = usual()
