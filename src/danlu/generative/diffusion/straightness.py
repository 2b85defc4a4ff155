r"""How straight the trajectories of a flow are: 0 where one step of Euler's rule is exact.

$S = \int_0^1 E\,\|(z - T(z)) - v(x_t, t)\|^2\,dt$ along the trajectories $x_t$ from noise $z$ to
samples $T(z)$, with the velocity $v$.

Sources: arXiv:2209.03003 §2.2.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.solvers.steppers import Drift, Midpoint


@torch.no_grad()
def straightness(
    drift: Drift, z: Float[Tensor, "batch ..."], *, start: float = 1.0, steps: int = 64
) -> float:
    """S over the trajectories from noise at the time `start` to time 0, for each example.

    Args:
        drift: the velocity; time 0 itself is not asked for.
        z: standard normal noise.
        start: the latest time at which the velocity is known.
        steps: even steps of the midpoint rule.
    """
    x, velocities, h = start * z, [], start / steps
    for step in range(steps):
        t = start - step * h
        velocities.append(drift(x, t))
        x = Midpoint().step(drift, x, t, t - h)
    whole = (start * z - x) / start
    gaps = [(whole - velocity).square().flatten(1).sum(1).mean() for velocity in velocities]
    return torch.stack(gaps).mean().item()
