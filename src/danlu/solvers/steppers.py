r"""One step of an ordinary differential equation $dx/dt = f(x, t)$ from $t$ to $t + h$.

Steppers are pure functions of (drift, x, t, t_next); times are Python floats and may run either
way. They know nothing of what is integrated.

- Euler, order 1: $x + h f(x, t)$.
- Midpoint, order 2: $x + h f(x + \tfrac h2 f(x, t), t + \tfrac h2)$.
- Heun, order 2: $x + \tfrac h2 (k_1 + f(x + h k_1, t + h))$.
- Runge-Kutta, order 4: the classical four-stage rule.

Sources: Hairer, Nørsett, Wanner, Solving Ordinary Differential Equations I, II.1.
"""

from collections.abc import Callable
from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

Drift = Callable[[Tensor, float], Tensor]


@runtime_checkable
class Stepper(Protocol):
    """A one-step method with its order and its drift evaluations a step."""

    order: ClassVar[int]
    evaluations: ClassVar[int]

    def step(
        self, drift: Drift, x: Float[Tensor, "*shape"], t: float, t_next: float
    ) -> Float[Tensor, "*shape"]:
        """The state at `t_next`."""
        ...


class Euler:
    """First order, one evaluation."""

    order: ClassVar[int] = 1
    evaluations: ClassVar[int] = 1

    def step(
        self, drift: Drift, x: Float[Tensor, "*shape"], t: float, t_next: float
    ) -> Float[Tensor, "*shape"]:
        """The state at `t_next`."""
        return x + (t_next - t) * drift(x, t)


class Midpoint:
    """Second order, two evaluations, none at the end of the step."""

    order: ClassVar[int] = 2
    evaluations: ClassVar[int] = 2

    def step(
        self, drift: Drift, x: Float[Tensor, "*shape"], t: float, t_next: float
    ) -> Float[Tensor, "*shape"]:
        """The state at `t_next`."""
        h = t_next - t
        return x + h * drift(x + h / 2 * drift(x, t), t + h / 2)


class Heun:
    """Second order, two evaluations, one of them at the end of the step."""

    order: ClassVar[int] = 2
    evaluations: ClassVar[int] = 2

    def step(
        self, drift: Drift, x: Float[Tensor, "*shape"], t: float, t_next: float
    ) -> Float[Tensor, "*shape"]:
        """The state at `t_next`."""
        h = t_next - t
        slope = drift(x, t)
        return x + h / 2 * (slope + drift(x + h * slope, t_next))


class RungeKutta4:
    """Fourth order, four evaluations."""

    order: ClassVar[int] = 4
    evaluations: ClassVar[int] = 4

    def step(
        self, drift: Drift, x: Float[Tensor, "*shape"], t: float, t_next: float
    ) -> Float[Tensor, "*shape"]:
        """The state at `t_next`."""
        h = t_next - t
        k1 = drift(x, t)
        k2 = drift(x + h / 2 * k1, t + h / 2)
        k3 = drift(x + h / 2 * k2, t + h / 2)
        k4 = drift(x + h * k3, t_next)
        return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
