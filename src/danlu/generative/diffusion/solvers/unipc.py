r"""UniPC: a predictor whose evaluation also corrects the step that led to it.

The predictor is an exponential integrator with a polynomial in $\lambda = -\log\hat\sigma$ through
the last p denoised states (p = 2: DPM-Solver++ 2M). The next step evaluates D at the predicted
state, first repeats the step behind it with the polynomial through that new value too, and goes on
from the corrected state without evaluating again. So the order is p + 1 at one evaluation a step,
but for the first steps, which know fewer states: they hold p = 3 to order 3 in the end.

The general B(h) of the source cancels wherever its equations are solved; where it takes 1/2 in
their place, $B(h) = e^{h} - 1$ is meant.

Sources: arXiv:2302.04867 alg. 5 to 8.
"""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError
from danlu.contracts.noise import Noise
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.solvers.exponential import advance
from danlu.generative.diffusion.solvers.solver import Memory, Solver


class UniPC(Solver):
    """Third order at one evaluation a step; remembers the last state and `states` denoised ones."""

    order: ClassVar[int | None] = 3

    def __init__(self, states: int = 2) -> None:
        if states not in (1, 2, 3):
            raise DanluError(f"UniPC remembers 1, 2 or 3 denoised states, got {states}.")
        self.states = states

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
        now = (level, denoise(y, level))
        known = [now]
        if memory is not None:
            y_last, known_last = memory
            first, *others = known_last
            y = advance(y_last, first[0], level, [first, now, *others])
            known = [now, *known_last][: self.states]
        return advance(y, level, level_next, known), (y, known)
