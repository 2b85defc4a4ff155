r"""Linear multistep: the slope in noise levels, extrapolated by a parabola through three of them.

$dy/d\hat\sigma = (y - D)/\hat\sigma$ is integrated over the step exactly for the parabola in
$\hat\sigma$ through the last three slopes (Adams-Bashforth on uneven steps): order 3 at one
evaluation a step. The first step is Heun's, for a first step of order 1 could not be mended.

Use it where the levels are close together; over long steps exponential integrators are better.

Sources: Hairer, Nørsett, Wanner, Solving Ordinary Differential Equations I, §III.5;
arXiv:2206.00364 eq. 1 (the equation).
"""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts.noise import Noise
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.solvers.exponential import interpolation
from danlu.generative.diffusion.solvers.solver import Memory, Solver

SLOPES = 3


class LinearMultistep(Solver):
    """Third order at one evaluation a step; the memory is the last slopes and their levels."""

    order: ClassVar[int | None] = 3
    start_calls: ClassVar[int] = 1

    @override
    def step(
        self,
        denoise: Denoiser,
        y: Float[Tensor, "batch ..."],
        level: float,
        level_next: float,
        noise: Noise,
        memory: Memory,
    ) -> tuple[Float[Tensor, "batch ..."], Memory]:
        length = level_next - level
        slope = (y - denoise(y, level)) / level
        if memory is None:
            guess = y + length * slope
            slope_next = (guess - denoise(guess, level_next)) / level_next
            return y + length / 2 * (slope + slope_next), [(level, slope)]
        known = [(level, slope), *memory][:SLOPES]
        nodes = [(at - level) / length for at, _ in known]
        weights = interpolation(nodes, [1 / (power + 1) for power in range(len(known))])
        for weight, (_, each) in zip(weights, known, strict=True):
            y = y + length * weight * each
        return y, known
