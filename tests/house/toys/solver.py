r"""Midpoint on the probability flow of the linear path: two evaluations a step, order 2.

The slope is taken half a step ahead, where Euler's step with half its length leads; then the whole
step follows that slope. It has the order of Heun's method and other errors.

Source: Hairer, Nørsett, Wanner, Solving Ordinary Differential Equations I, §II.1.
"""

from typing import ClassVar

from danlu.generative.diffusion.paths import Linear
from danlu.generative.diffusion.solvers.ode import OdeSolver
from danlu.solvers.steppers import Midpoint


class ToySolver(OdeSolver):
    """Midpoint on the linear path."""

    order: ClassVar[int | None] = 2
    calls: ClassVar[int] = 2

    def __init__(self) -> None:
        super().__init__(Midpoint(), Linear())
