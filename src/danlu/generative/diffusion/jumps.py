r"""Jumps: a flow map takes a state from a time to an earlier one at once, and jump solvers use it.

$f(x, t, s)$ is the state at time $s$ of the trajectory of the probability flow that is at $x$ at
time $t$. Times are those of a path from data (0) to noise (1). As the exact map composes,
$f(f(x, t, s), s, r) = f(x, t, r)$, one jump is enough; a learned map errs less over short ones.

- straight: $x_s = f(x_t, t, s)$. Deterministic, for maps that know every pair of times.
- renoised: $x_s = \alpha_s f(x_t, t, 0) + \sigma_s z$ with fresh noise, which mends earlier errors;
  for maps that know the way to the data alone.

Sources: arXiv:2505.13447 §4 (average velocities), arXiv:2303.01469 alg. 1 (multistep consistency
sampling), arXiv:2310.02279 (flow maps between any two times).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts.noise import Noise
from danlu.generative.diffusion.paths import Path


@runtime_checkable
class FlowMap(Protocol):
    """The flow between two times; conditions are already inside."""

    def __call__(
        self, x: Float[Tensor, "batch ..."], t: float, s: float
    ) -> Float[Tensor, "batch ..."]:
        """The state at time s of each row's trajectory, which is at x at time t."""
        ...


class Jump(ABC):
    """One evaluation of a flow map; instances hold no state."""

    @abstractmethod
    def step(
        self,
        flow_map: FlowMap,
        x: Float[Tensor, "batch ..."],
        times: tuple[float, float],
        path: Path,
        noise: Noise,
    ) -> Float[Tensor, "batch ..."]:
        """The state at the second, earlier time."""


class Straight(Jump):
    """Along the trajectory."""

    @override
    def step(
        self,
        flow_map: FlowMap,
        x: Float[Tensor, "batch ..."],
        times: tuple[float, float],
        path: Path,
        noise: Noise,
    ) -> Float[Tensor, "batch ..."]:
        return flow_map(x, *times)


class Renoised(Jump):
    """To the data, and back up to the next time by fresh noise."""

    @override
    def step(
        self,
        flow_map: FlowMap,
        x: Float[Tensor, "batch ..."],
        times: tuple[float, float],
        path: Path,
        noise: Noise,
    ) -> Float[Tensor, "batch ..."]:
        data = flow_map(x, times[0], 0.0)
        if times[1] == 0.0:
            return data
        point = path.at(times[1])
        return point.alpha * data + point.sigma * noise.normal(*x.shape[1:])


def leap(
    jump: Jump,
    flow_map: FlowMap,
    noise: Noise,
    shape: Sequence[int],
    path: Path,
    times: Sequence[float],
) -> Float[Tensor, "batch ..."]:
    """From pure noise at the first of some falling times to the last."""
    x = path.at(times[0]).sigma * noise.normal(*shape)
    for each in pairwise(times):
        x = jump.step(flow_map, x, each, path, noise)
    return x
