r"""Explicit grids: falling noise levels that a sampler visits, ending in 0.

- uniform: times of the linear path evenly spaced, $\hat\sigma = t/(1-t)$.
- karras: $\hat\sigma^{1/\rho}$ evenly spaced with $\rho = 7$.
- logarithmic: $\log\hat\sigma$ evenly spaced.

Sources: arXiv:2206.00364 eq. 5 (karras), arXiv:2206.00927 (logarithmic), arXiv:2209.03003.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise

from danlu.contracts import DanluError
from danlu.generative.diffusion.paths import Linear, Path

Grid = Callable[[int, float, float], list[float]]

RHO = 7.0
ROUNDING = 1e-9
"""Relative error of a level that is computed forth and back."""


def uniform(steps: int, lowest: float, highest: float) -> list[float]:
    """Even in the time of the linear path, from `highest` straight to 0."""
    return along(Linear(), steps, highest)


def along(path: Path, steps: int, highest: float) -> list[float]:
    """Even in the time of any path."""
    start = path.time(highest)
    inner = [path.at(start * (steps - i) / steps).level for i in range(1, steps)]
    return [highest, *inner, 0.0]


def karras(steps: int, lowest: float, highest: float) -> list[float]:
    """`steps` levels from highest to lowest, even in the seventh root; then 0."""
    ends = highest ** (1 / RHO), lowest ** (1 / RHO)
    return [*(level**RHO for level in _even(*ends, steps)), 0.0]


def logarithmic(steps: int, lowest: float, highest: float) -> list[float]:
    """`steps` levels from highest to lowest, even in the logarithm; then 0."""
    ends = math.log(highest), math.log(lowest)
    return [*(math.exp(level) for level in _even(*ends, steps)), 0.0]


def _even(first: float, last: float, steps: int) -> list[float]:
    if steps == 1:
        return [first]
    return [first + (last - first) * i / (steps - 1) for i in range(steps)]


def clipped(grid: Sequence[float], lowest: float, highest: float) -> list[float]:
    """The grid within the levels seen in training, with a notice where it was cut.

    Raises:
        DanluError: the grid does not fall strictly.
    """
    if any(a <= b for a, b in pairwise(grid)):
        raise DanluError(f"A grid of noise levels must fall strictly, got {list(grid)}.")
    inside = [
        level for level in grid if lowest * (1 - ROUNDING) <= level <= highest * (1 + ROUNDING)
    ]
    above = grid[0] > highest * (1 + ROUNDING)
    if above:
        inside = [highest, *(level for level in inside if level < highest)]
    if grid[-1] == 0.0:
        inside.append(0.0)
    if len(inside) != len(grid) or above:
        warnings.warn(
            f"the grid was clipped to the levels seen in training, {lowest:.4g} to {highest:.4g}",
            stacklevel=2,
        )
    return inside
