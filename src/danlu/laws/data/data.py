"""Laws of the data room: densities against quadrature, levels against fractions, streams."""

from collections import Counter
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from scipy.integrate import quad
from torch import Tensor

from danlu.contracts import Classes, DataDescription, DataKind
from danlu.data import SOURCES, Examples, ExampleStream
from danlu.data.densities import Density, TwoMoons
from danlu.data.source import level_grid
from danlu.laws.draws import generator, seed
from danlu.laws.gaps import deviation, gap, largest, sigmas
from danlu.laws.law import Law, Rows, table

DRAWS = 20_000
CELLS = {  # cells along each side of the quadrature grid, and the error reached there
    "eight-gaussians": (100, 1e-13),
    "gaussian-grid": (200, 1e-13),
    "two-moons": (100, 1e-12),
    "checkerboard": (40, 1e-13),
    "pinwheel": (400, 1e-11),
    "rings": (225, 1e-13),
}
USUAL = (400, 1e-9)
"""Of a density that is not listed."""
DENSITIES = {
    name: (row.target, *CELLS.get(name, USUAL))
    for name, row in SOURCES.items()
    if isinstance(row.target, type) and issubclass(row.target, Density)
}


def _grid(density: Density, cells: int) -> tuple[Tensor, float]:
    """Cell centres of the square that holds the mass, and the area of a cell."""
    side = 2 * density.reach / cells
    centre = (torch.arange(cells, dtype=torch.float64) + 0.5) * side - density.reach
    return torch.cartesian_prod(centre, centre), side**2


def _mass(target: type[Density], cells: int) -> float:
    density = target()
    x, area = _grid(density, cells)
    return gap(density.log_density(x).exp().sum().item() * area, 1)


def _statistics(density: Density, x: Tensor) -> Tensor:
    """Functions whose means a sampler must get right: log-density, moments, harmonics."""
    across, up = x.unbind(1)
    log_density = density.log_density(x).clamp(min=-1e4)  # 0 log 0 = 0 in the quadrature
    waves = [torch.cos(2 * across), torch.sin(3 * up), torch.sin(across + 2 * up)]
    moments = [across, up, across.square(), across * up, up.square()]
    return torch.stack((log_density, *moments, *waves), dim=1)


def _sample_excess(target: type[Density], cells: int) -> float:
    """How far the worst sample mean is from quadrature, in standard errors."""
    density = target()
    x, area = _grid(density, cells)
    weights = density.log_density(x).exp() * area
    expected = weights @ _statistics(density, x)
    drawn = _statistics(density, density.draw(DRAWS, generator()))
    error = drawn.std(0) / DRAWS**0.5
    # The log-density of the checkerboard is a constant: only rounding separates its means.
    return deviation(drawn.mean(0), expected, error + 1e-9)


def _moons_error() -> float:
    """The log-density of two moons equals adaptive quadrature of its arcs."""
    x = torch.rand(12, 2, generator=generator(), dtype=torch.float64)
    x = 10 * x - 5
    density = TwoMoons()
    return largest(
        gap(value, _moons_log_density(point))
        for point, value in zip(x.numpy(), density.log_density(x).tolist(), strict=True)
    )


def _moons_log_density(point: np.ndarray) -> float:
    def exponent(angle: float | np.ndarray, sign: int) -> np.ndarray:
        arc = 2 * sign * np.array([np.cos(angle) - 0.5, np.sin(angle) - 0.25])
        square = (point.reshape(2, *[1] * (arc.ndim - 1)) - arc) ** 2
        return np.asarray(-square.sum(0) / (2 * 0.2**2))

    pieces = np.linspace(0, np.pi, 21)
    top = max(exponent(np.linspace(0, np.pi, 500), sign).max() for sign in (-1, 1))
    total = 0.0
    for sign in (-1, 1):
        integrand = lambda angle, sign=sign: np.exp(exponent(angle, sign) - top)
        for low, high in pairwise(pieces):
            total += cast(float, quad(integrand, low, high, epsabs=1e-15, epsrel=1e-13)[0])
    return float(top + np.log(total / (4 * np.pi**2 * 0.2**2)))


def _level_error() -> float:
    """2, 17 and 256 levels are the correctly rounded fractions on [-1, 1] and round back."""
    worst = 0.0
    for levels in (2, 17, 256):
        description = _images(1, levels)
        grid = level_grid(description)
        exact = [float(np.float32(float(Fraction(2 * k, levels - 1) - 1))) for k in range(levels)]
        worst = largest(worst, gap(grid.double(), torch.tensor(exact).double()))
        back = torch.round((grid.double() - description.low) / description.spacing)
        worst = largest(worst, gap(back, torch.arange(levels)))
    return worst


def _images(n: int, levels: int) -> DataDescription:
    return DataDescription(
        kind=DataKind.IMAGE,
        shape=(1, n, n),
        levels=levels,
        low=-1.0,
        high=1.0,
        condition=Classes(5),
    )


def _stream(batch: int, shard: tuple[int, int] = (0, 1)) -> ExampleStream:
    source = generator()
    values = torch.randint(17, (101, 1, 4, 4), generator=source, dtype=torch.uint8)
    description = _images(4, 17)
    examples = Examples(values, torch.arange(101) % 5, description)
    return ExampleStream(examples, description, batch=batch, seed=seed(3), flips=True, shard=shard)


def _take(stream: ExampleStream, batches: int) -> Tensor:
    """Everything that the stream gives, one row for each example."""
    rows = []
    for _ in range(batches):
        batch = next(stream)
        assert batch.condition is not None
        assert batch.condition.ids is not None
        facts = torch.stack((batch.index, batch.condition.ids), dim=1)
        rows.append(torch.cat((facts.double(), batch.x.flatten(1).double()), dim=1))
    return torch.cat(rows)


def _resume_error() -> float:
    """A stream resumed after k batches gives the other n - k batches of a straight one."""
    straight = _take(_stream(12), 30)
    wrong = []
    for done in range(30):
        resumed = _stream(12)
        resumed.seek(12 * done)
        wrong.append(gap(_take(resumed, 30 - done), straight[12 * done :]))
    return largest(wrong)


def _shard_error() -> float:
    """The shards of 2, 3 and 5 processes put together are the whole batch."""
    whole = _take(_stream(12), 20).unflatten(0, (20, 12))
    wrong = []
    for world in (2, 3, 5):
        shards = [_stream(12, (rank, world)) for rank in range(world)]
        for batch in whole:
            parts = torch.cat([_take(shard, 1) for shard in shards])
            wrong.append(gap(parts, batch))
    return largest(wrong)


def _epoch_error() -> float:
    """Every epoch visits every example once, in a new order."""
    indices = _take(_stream(7), 101)[:, 0].long().tolist()
    epochs = [indices[first : first + 101] for first in range(0, len(indices), 101)]
    missed = sum(gap(Counter(epoch)[i], 1) for epoch in epochs for i in range(101))
    return float(missed + 101 * (len({tuple(epoch) for epoch in epochs}) < len(epochs)))


_LAWS: Rows = {
    "quadrature": [
        ("data/two-moons-quadrature", 1e-11, _moons_error),
    ],
    "closed form": [
        ("data/levels", 0.0, _level_error),
    ],
    "contract": [
        ("data/resume", 0.0, _resume_error),
        ("data/shards", 0.0, _shard_error),
        ("data/epochs", 0.0, _epoch_error),
    ],
}

LAWS: list[Law] = [
    *table(_LAWS),
    *(
        Law(
            f"data/{name}-integral",
            f"the density of {name} integrates to 1",
            tolerance,
            partial(_mass, target, cells),
            oracle="quadrature",
        )
        for name, (target, cells, tolerance) in DENSITIES.items()
    ),
    *(
        Law(
            f"data/{name}-samples",
            f"means of log p, moments and harmonics over {DRAWS:,} samples of {name} equal "
            "quadrature, in standard errors",
            sigmas(9),
            partial(_sample_excess, target, cells),
            oracle="statistics",
        )
        for name, (target, cells, _) in DENSITIES.items()
    ),
]
