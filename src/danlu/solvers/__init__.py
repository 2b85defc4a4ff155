"""Steppers of differential equations; they know nothing of diffusion."""

from danlu.contracts import Method
from danlu.solvers.steppers import Euler, Heun, Midpoint, RungeKutta4, Stepper

__all__ = [
    "STEPPERS",
    "Euler",
    "Heun",
    "Midpoint",
    "RungeKutta4",
    "Stepper",
]

_HAIRER = ("Hairer, Nørsett, Wanner, Solving Ordinary Differential Equations I",)

STEPPERS = {
    "euler": Method(Euler, _HAIRER, Euler),
    "midpoint": Method(Midpoint, _HAIRER, Midpoint),
    "heun": Method(Heun, _HAIRER, Heun),
    "runge-kutta-4": Method(RungeKutta4, _HAIRER, RungeKutta4),
}
