"""Error against evaluations for every solver, path and grid, on an exact denoiser.

No network: the denoiser is that of a mixture in the plane. All start from the same data and noise
at the highest level of their grid, so that only the solver and the grid err. Solvers of the
probability flow are compared, point by point (root mean square), with the exact end of the flow
from the path's highest level; those with fresh noise by the sliced Wasserstein distance of their
samples from the mixture, whose floor is that of as many draws of the mixture itself.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path as Folder
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.contracts.noise import BatchNoise
from danlu.evaluation.canvas import Figure
from danlu.generative.diffusion import GRIDS, PATHS, SOLVERS
from danlu.generative.diffusion.analytic import MixtureDenoiser, two_dimensional
from danlu.generative.diffusion.grids import logarithmic
from danlu.generative.diffusion.paths import Linear, Path
from danlu.generative.diffusion.solvers.ode import OdeSolver
from danlu.generative.diffusion.solvers.solver import Solver
from danlu.generative.diffusion.solvers.solver import run as carry
from danlu.solvers.steppers import RungeKutta4
from danlu_bench.page import table, write_page

EVALUATIONS = (5, 10, 20, 40, 80)
POINTS = 1000
DIRECTIONS = 32
REFERENCE_STEPS, REFERENCE_LOWEST = 300, 1e-3
STYLES = ("-", "--", ":", "-.")

Points = Float[Tensor, "points dim"]
Errors = dict[tuple[str, str, str], list[float]]
"""(path, grid, solver) -> an error for each number of evaluations."""


def run(
    report: Callable[[str], None],
    *,
    evaluations: Sequence[int] = EVALUATIONS,
    points: int = POINTS,
    paths: Sequence[str] = tuple(PATHS),
    folder: Folder | None = None,
) -> dict[str, Any]:
    """Draw error against network evaluations for every solver, path and grid, with no network."""
    bed = Bed(points)
    errors: Errors = {}
    for name in paths:
        errors |= bed.errors(name, evaluations)
        best = min((row[-1], key) for key, row in errors.items() if key[0] == name)
        report(f"{name}: least error {best[0]:.2e} by {best[1][2]} on {best[1][1]}")
    pictures = {name: _picture(errors, name, evaluations) for name in paths}
    lines = _page(errors, paths, evaluations, bed)
    page = write_page("solvers", lines, pictures, folder)
    report(f"floor of the sliced distance: {bed.floor:.4f}")
    report(f"page: {page}")
    falls = all(
        row[-1] < row[0]
        for (_, grid, solver), row in errors.items()
        if grid in ("karras", "logarithmic") and SOLVERS[solver].build().order
    )
    rows = {" / ".join(key): row for key, row in errors.items()}
    return {"evaluations": list(evaluations), "errors": rows, "floor": bed.floor, "holds": falls}


class Bed:
    """The mixture, its noisy draws that every run starts from, and exact ends to compare with."""

    def __init__(self, points: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.mixture = two_dimensional()
        self.data, held_out = (draws(self.mixture, points, generator) for _ in range(2))
        self.noise = torch.randn(points, 2, generator=generator, dtype=torch.float64)
        self.held_out = held_out
        self.floor = sliced(self.data, held_out)

    def errors(self, name: str, evaluations: Sequence[int]) -> Errors:
        """The errors of all solvers and grids on one path."""
        path: Path = PATHS[name].build()
        lowest, highest = path.levels()
        fine = logarithmic(path, REFERENCE_STEPS, REFERENCE_LOWEST, highest)
        exact = self._run(OdeSolver(RungeKutta4(), Linear()), fine)
        found: Errors = {}
        for solver_name, method in SOLVERS.items():
            solver: Solver = method.build()
            for grid_name, grid in GRIDS.items():
                row = []
                for paid in evaluations:
                    levels = grid.target(path, solver.steps(paid), lowest, highest)
                    end = self._run(solver, levels)
                    row.append(
                        sliced(end, self.held_out)
                        if solver.order is None
                        else (end - exact).square().sum(1).mean().sqrt().item()
                    )
                found[name, grid_name, solver_name] = row
        return found

    def _run(self, solver: Solver, levels: list[float]) -> Points:
        torch.manual_seed(0)
        start = self.data + levels[0] * self.noise
        fresh = BatchNoise(len(start), dtype=torch.float64)
        return carry(solver, self.mixture, start, levels, fresh)


def draws(mixture: MixtureDenoiser, n: int, generator: torch.Generator) -> Points:
    """Exact draws of a mixture."""
    shares = mixture.log_weights.exp()
    chosen = torch.multinomial(shares, n, replacement=True, generator=generator)
    z = torch.randn(n, mixture.means.shape[1], generator=generator, dtype=torch.float64)
    return mixture.means[chosen] + mixture.variances.sqrt()[chosen, None] * z


def sliced(first: Points, second: Points) -> float:
    """Wasserstein distance of two sets of as many points in the plane, mean over directions."""
    angles = torch.arange(DIRECTIONS, dtype=torch.float64) * (math.pi / DIRECTIONS)
    directions = torch.stack([angles.cos(), angles.sin()])
    gaps = (first @ directions).sort(0).values - (second @ directions).sort(0).values
    return gaps.abs().mean().item()


def _picture(errors: Errors, name: str, evaluations: Sequence[int]) -> Figure:
    figure = Figure(figsize=(2.3 * len(GRIDS), 6.0), layout="constrained")
    panels = figure.subplots(2, len(GRIDS), sharey="row", squeeze=False)
    built: dict[str, Solver] = {solver: method.build() for solver, method in SOLVERS.items()}
    for column, grid in enumerate(GRIDS):
        for i, (solver, instance) in enumerate(built.items()):
            axes = panels[int(instance.order is None), column]
            row = errors[name, grid, solver]
            axes.plot(evaluations, row, STYLES[i % 4], marker=".", label=solver)
        panels[0, column].set_title(grid)
        panels[1, column].set_xlabel("evaluations")
        for axes in panels[:, column]:
            axes.set(xscale="log", yscale="log")
            axes.set_xticks(evaluations, [str(paid) for paid in evaluations])
            axes.minorticks_off()
            axes.grid(alpha=0.3)
    panels[0, 0].set_ylabel("error of the flow")
    panels[1, 0].set_ylabel("sliced distance, fresh noise")
    for axes in panels[:, -1]:
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.suptitle(f"path: {name}")
    return figure


def _page(errors: Errors, paths: Sequence[str], evaluations: Sequence[int], bed: Bed) -> list[str]:
    middle = len(evaluations) // 2
    lines = [
        "# Solvers, paths and grids without a network",
        "",
        "`danlu bench solvers` runs every solver on every path and grid with the exact denoiser of",
        "a mixture in the plane, from the same data and noise at the grid's highest level. Solvers",
        "of the probability flow show the root mean square distance from the exact end of the flow",
        "from the path's highest level; those with fresh noise (marked \\*) the sliced Wasserstein",
        f"distance of {len(bed.data)} samples, of which two draws of the data themselves are",
        f"{bed.floor:.4f} apart. The tables are for {evaluations[middle]} evaluations, the",
        "pictures for all. The grid `leading` starts below the highest level, as if noise alone",
        "were the state there: its error is that of a first step never taken.",
    ]
    for name in paths:
        lines += ["", f"## {name}"]
        rows = []
        for solver, method in SOLVERS.items():
            mark = "" if method.build().order else " \\*"
            cells = (f"{errors[name, grid, solver][middle]:.2g}" for grid in GRIDS)
            rows.append([solver + mark, *cells])
        lines += table(["solver", *GRIDS], rows)
    return lines
