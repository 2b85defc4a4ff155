r"""Adaptive Runge-Kutta on the probability flow, with an error and a step size for each sample.

Tsitouras' pair of orders 5 and 4 integrates $\dot x = \dot\alpha D + \dot\sigma (y - D)/\hat\sigma$
on the linear path, whose lines bend least; each sample takes the steps that its own error allows,
so that it does not depend on its batch mates, as it does where a batch shares one error norm. The
denoised state at the lowest level ends it. It needs a denoiser with a level for each row.

Use it for a reference, or where accuracy matters more than a fixed number of evaluations; the
integrator is torchode's, of the extra `ode`.

Sources: Tsitouras 2011 (the pair), arXiv:2210.12375 (torchode), arXiv:2011.13456 §4.3 (its use).
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from danlu.contracts import DanluError
from danlu.generative.diffusion.paths import Linear

RowDenoiser = Callable[
    [Float[Tensor, "batch ..."], Float[Tensor, " batch"]], Float[Tensor, "batch ..."]
]
"""A denoiser with a noise level for each row."""


@dataclass(frozen=True, slots=True)
class Carried:
    """Samples, and the steps that each one took, refused ones included."""

    samples: Float[Tensor, "batch ..."]
    steps: Int[Tensor, " batch"]


def adaptive(
    denoise: RowDenoiser,
    y: Float[Tensor, "batch ..."],
    highest: float,
    lowest: float,
    tolerance: float = 1e-5,
) -> Carried:
    """Carry states from the highest level to the lowest, and denoise them there.

    Args:
        denoise: the model as E[x0 | y], such as `DiffusionModel.denoised` under a condition.
        y: states at level `highest`.
        highest: where the flow starts.
        lowest: where the last denoised state is taken, above 0.
        tolerance: of each step, absolute and relative.

    Raises:
        DanluError: torchode is not installed, or a sample could not be carried.
    """
    torchode, path, shape = _torchode(), Linear(), y.shape
    first, last = path.time(highest), path.time(lowest)

    def velocity(t: Tensor, x: Tensor) -> Tensor:
        point = path.points(t)
        whole = point.like(x)
        state = x / whole.alpha
        data = denoise(state.view(shape), point.level).flatten(1)
        return whole.alpha_rate * data + whole.sigma_rate * (state - data) / whole.level

    term = torchode.ODETerm(velocity)
    method = torchode.Tsit5(term=term)
    control = torchode.IntegralController(atol=tolerance, rtol=tolerance, term=term)
    n = len(y)
    problem = torchode.InitialValueProblem(
        y0=path.at(first).alpha * y.flatten(1),
        t_start=y.new_full((n,), first),
        t_end=y.new_full((n,), last),
    )
    found = torchode.AutoDiffAdjoint(method, control).solve(problem)
    if bool((found.status != 0).any()):
        raise DanluError(
            f"{int((found.status != 0).sum())} of {n} samples could not be carried to level "
            f"{lowest:.3g} at tolerance {tolerance:.1e}; raise one of them."
        )
    end = (found.ys[:, -1] / path.at(last).alpha).view(shape)
    return Carried(denoise(end, y.new_full((n,), lowest)), found.stats["n_steps"].long())


def _torchode() -> Any:
    try:
        return import_module("torchode")
    except ModuleNotFoundError as error:
        raise DanluError(
            "Adaptive steps need torchode: pip install 'danlu[ode]', or take a solver on a grid."
        ) from error
