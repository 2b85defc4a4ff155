r"""Explicit grids: falling noise levels that a solver visits, ending in 0.

Even in the time t of the model's path, from its latest time T with N steps:

- uniform (also called trailing): $t_i = T(N - i)/N$, straight to 0.
- linspace: from T to the earliest time of training, both included.
- leading: the same spacing T/N as uniform, counted up from the earliest time of training, so that
  the last level is the lowest one; the steps of the first implementations, which never see pure
  noise: of 1000 levels, 10 steps visit number 901, 801, ..., 1.
- quadratic: $t_i = T((N - i)/N)^2$, dense near the data.
- shifted: $t_i = s\tau/(1 + (s - 1)\tau)$ of an even $\tau$ with s = 3, dense near the noise.

Even in the noise level, whatever the path:

- karras: $\hat\sigma^{1/\rho}$ evenly spaced with $\rho = 7$.
- logarithmic: $\log\hat\sigma$ evenly spaced.

Sources: arXiv:2206.00364 eq. 5 (karras), arXiv:2206.00927 (logarithmic), arXiv:2209.03003
(uniform), arXiv:2010.02502 app. D.2 (quadratic), arXiv:2305.08891 tab. 2 (leading, linspace,
trailing), arXiv:2403.03206 eq. 23 (shifted).
"""

import math
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise

from danlu.contracts import DanluError
from danlu.generative.diffusion.paths import Path

Grid = Callable[[Path, int, float, float], list[float]]
"""(path, steps, lowest level, highest level) -> `steps` levels and 0."""

RHO = 7.0
SHIFT = 3.0
ROUNDING = 1e-9
"""Relative error of a level that is computed forth and back."""


def uniform(path: Path, steps: int, lowest: float, highest: float) -> list[float]:
    """Even in the time of the path, from `highest` straight to 0."""
    return _along(path, highest, [(steps - i) / steps for i in range(steps)])


def linspace(path: Path, steps: int, lowest: float, highest: float) -> list[float]:
    """Even in the time of the path, from `highest` to `lowest`; then 0."""
    first, last = path.time(highest), path.time(lowest)
    return [highest, *path.levels_at(_even(first, last, steps)[1:]), 0.0]


def leading(path: Path, steps: int, lowest: float, highest: float) -> list[float]:
    """Steps of T/N in the time of the path, from `lowest` up to one below `highest`; then 0."""
    first, last = path.time(highest), path.time(lowest)
    # More steps than levels of training leave less than a step between the two ends.
    spacing = min(first / steps, (first - last) / max(1, steps - 1))
    times = [last + spacing * i for i in reversed(range(steps))]
    return [*path.levels_at(times), 0.0]


def quadratic(path: Path, steps: int, lowest: float, highest: float) -> list[float]:
    """Even in the root of the path's time, from `highest` straight to 0."""
    return _along(path, highest, [((steps - i) / steps) ** 2 for i in range(steps)])


def shifted(path: Path, steps: int, lowest: float, highest: float) -> list[float]:
    """Uniform, with more of the steps near the noise."""
    even = [(steps - i) / steps for i in range(steps)]
    return _along(path, highest, [SHIFT * t / (1 + (SHIFT - 1) * t) for t in even])


def karras(path: Path, steps: int, lowest: float, highest: float) -> list[float]:
    """`steps` levels from highest to lowest, even in the seventh root; then 0."""
    ends = highest ** (1 / RHO), lowest ** (1 / RHO)
    return [*(level**RHO for level in _even(*ends, steps)), 0.0]


def logarithmic(path: Path, steps: int, lowest: float, highest: float) -> list[float]:
    """`steps` levels from highest to lowest, even in the logarithm; then 0."""
    ends = math.log(highest), math.log(lowest)
    return [*(math.exp(level) for level in _even(*ends, steps)), 0.0]


def _along(path: Path, highest: float, shares: Sequence[float]) -> list[float]:
    """The levels at shares of the time of `highest`; the first share is 1."""
    start = path.time(highest)
    return [highest, *path.levels_at([start * share for share in shares[1:]]), 0.0]


def _even(first: float, last: float, steps: int) -> list[float]:
    if steps == 1:
        return [first]
    return [first + (last - first) * i / (steps - 1) for i in range(steps)]


def clipped(grid: Sequence[float], lowest: float, highest: float) -> list[float]:
    """The grid within the levels seen in training, with a notice where it was cut.

    Raises:
        DanluError: the grid does not fall strictly, or lies outside altogether.
    """
    if any(a <= b for a, b in pairwise(grid)):
        raise DanluError(f"A grid of noise levels must fall strictly, got {list(grid)}.")
    inside = [
        level for level in grid if lowest * (1 - ROUNDING) <= level <= highest * (1 + ROUNDING)
    ]
    if not inside:
        raise DanluError(
            f"The grid {list(grid)} has no level between {lowest:.4g} and {highest:.4g}, which "
            "the model was trained on."
        )
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
