r"""FFJORD: a continuous normalising flow, trained by its likelihood.

A network is the velocity of $\dot x = f_\theta(x, t, c)$ from data at $t = 0$ to a Gaussian at
$t = 1$:

$\log p(x \mid c) = \log\mathcal N(x_1; 0, I) + \int_0^1 \nabla\!\cdot f_\theta(x_t, t, c)\,dt$.

No layer needs an inverse or a triangular Jacobian, so that any network will do; each likelihood and
each sample costs a solve. The divergence is exact for a few numbers and else an estimate by
Hutchinson's probe, one for each solve, whose standard error the evidence has. The equation is
solved in fixed steps of fourth order, through which the gradients lead. Values on levels are
dequantised and spread by a logit, and activation normalisation standardises them.

Use it for smooth densities of a few numbers, which couplings tear and stretch; on images the other
families learn far more in the same time.

Sources: arXiv:1810.01367, arXiv:1806.07366 §4.
"""

from dataclasses import replace

from danlu.contracts import DataDescription
from danlu.generative.flow.flow import Flow, maker, to_the_line
from danlu.generative.parts.actnorm import ActNorm
from danlu.generative.parts.continuous import Continuous, EstimatedContinuous, Velocity
from danlu.generative.parts.priors import GaussianPrior
from danlu.generative.recipe import Recipe, Recipes, Regime, plan_of
from danlu.generative.tiny import TINY

EXACT_UP_TO = 4
"""Most numbers of an example whose divergence is exact."""


class FFJORD(Flow):
    """A chain with one bijection by an ODE under a Gaussian."""


def build(
    description: DataDescription = TINY,
    *,
    width: int = 16,
    depth: int = 1,
    steps: int = 8,
    network: str = "auto",
    squash: str = "auto",
) -> FFJORD:
    """A continuous flow for images or vectors.

    Args:
        description: of the data.
        width: of the velocity's network.
        depth: its residual blocks.
        steps: of the solver; four evaluations each.
        network: dense or convolutional; auto by the size of the data.
        squash: what spreads values on levels: logit or affine; auto for the logit.
    """
    make = maker(network, description, width=width, depth=depth)
    shape = description.shape
    velocity = Velocity(make(shape, shape[0]), description.condition)
    kind = Continuous if description.dims <= EXACT_UP_TO else EstimatedContinuous
    layers = [*to_the_line(description, squash), ActNorm(shape), kind(velocity, steps=steps)]
    code = replace(description, levels=None, low=-3.0, high=3.0, condition=None)
    return FFJORD(description, layers, GaussianPrior(code))


RECIPES: Recipes = {
    Regime.VECTOR: Recipe(model={"width": 64, "depth": 2}, plan=plan_of(256, 5e-3)),
    Regime.SMALL_IMAGE: Recipe(model={"width": 128, "depth": 2}, plan=plan_of(128, 2e-3)),
    Regime.IMAGE: Recipe(model={"width": 64, "depth": 2}, plan=plan_of(64, 1e-3)),
}
