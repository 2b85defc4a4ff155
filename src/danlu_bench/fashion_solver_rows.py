"""What the study of solvers on images measures: choices, a table, DDIM, guidance and the chain.

The grid of each solver, and the solver to compare with the whole chain, are those with the least
distance from the validation split; all other rows are scored against the test split.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from danlu.training import Budget
from danlu_bench.sample_rows import SampledRun, SampleRow

BUDGET = Budget(minutes=5.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What is trained and how it is sampled.

    Attributes:
        data: a name of SOURCES.
        family: of the model, a discrete chain.
        settings: of the run, as on the command line.
        budget: of its training.
        seed: of everything random.
        solvers: names of SOLVERS. Euler on the linear path is not among them: it is DDIM.
        grids: names of GRIDS that each solver may choose from.
        evaluations: of the table.
        few: with which grids and the solver to compare with the chain are chosen.
        by_ddim: evaluations of DDIM beside the chain.
        chain: steps of the ancestral sampler.
        scales: of guidance.
        guided: evaluations of a guided sample; the network's are twice as many.
        samples: of a row.
        choosing: samples of a row that is for choosing.
        shown: classes in the picture of all solvers.
        home: folder of the run.
    """

    data: str = "fashion-mnist"
    family: str = "ddpm"
    settings: tuple[str, ...] = ()
    budget: Budget = BUDGET
    seed: int = 0
    solvers: tuple[str, ...] = (
        "ddim", "heun", "dpm-multistep", "dpm-multistep-3", "unipc", "linear-multistep",
        "ancestral", "dpm-sde",
    )  # fmt: skip
    grids: tuple[str, ...] = ("uniform", "karras", "logarithmic")
    evaluations: tuple[int, ...] = (5, 10, 20, 50)
    few: int = 10
    by_ddim: tuple[int, ...] = (10, 20, 50, 100)
    chain: int = 1000
    scales: tuple[float, ...] = (1.0, 1.5, 2.0, 3.0, 4.0)
    guided: int = 20
    samples: int = 1000
    choosing: int = 250
    shown: tuple[int, ...] = (0, 5, 9)
    home: Path = Path("runs/fashion-solvers")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """All rows of the study; distances are from the test split, but for `tried`.

    Attributes:
        tried: (solver, grid) -> a row against the validation split.
        grid: solver -> the best of its grids there.
        best: the best solver there.
        rows: (solver, evaluations) -> row on its grid.
        ddim: evaluations -> row.
        chain: the whole chain.
        guided: scale -> row of the best solver.
    """

    tried: Mapping[tuple[str, str], SampleRow]
    grid: Mapping[str, str]
    best: str
    rows: Mapping[tuple[str, int], SampleRow]
    ddim: Mapping[int, SampleRow]
    chain: SampleRow
    guided: Mapping[float, SampleRow]

    def ratio(self, study: Study) -> float:
        """Distance of the best solver with few evaluations over that of the chain."""
        return self.rows[self.best, study.few].distance.value / self.chain.distance.value

    def seconds(self) -> float:
        """CPU seconds of all samples, each row once."""
        groups = (self.tried, self.rows, self.ddim, self.guided)
        return sum(row.seconds for row in {self.chain, *(r for g in groups for r in g.values())})


def measure(study: Study, sampled: SampledRun) -> Found:
    """Choices first, then the table at few evaluations, and last what takes longest."""
    tried = {
        (solver, grid): sampled.row(
            study.choosing, split="validation", **way(solver, grid, study.few)
        )
        for solver in study.solvers
        for grid in study.grids
    }

    def nearest(solver: str) -> str:
        return min(study.grids, key=lambda grid: tried[solver, grid].distance.value)

    grids = {solver: nearest(solver) for solver in study.solvers}
    best = min(study.solvers, key=lambda solver: tried[solver, grids[solver]].distance.value)

    def row(solver: str, evaluations: int) -> SampleRow:
        return sampled.row(study.samples, **way(solver, grids[solver], evaluations))

    counts = sorted({study.few, *study.evaluations}, key=lambda count: (count != study.few, count))
    rows = {(solver, count): row(solver, count) for count in counts for solver in study.solvers}
    ddim = {
        count: rows[("ddim", count)] if ("ddim", count) in rows else row("ddim", count)
        for count in study.by_ddim
    }
    guided = {
        scale: sampled.row(
            study.samples, **{**way(best, grids[best], study.guided), "guidance": scale}
        )
        for scale in study.scales
    }
    chain = sampled.row(study.samples, **way("ancestral", "uniform", study.chain))
    return Found(
        tried=tried, grid=grids, best=best, rows=rows, ddim=ddim, chain=chain, guided=guided
    )


def way(solver: str, grid: str, evaluations: int) -> dict[str, Any]:
    """Options of one way of drawing without guidance."""
    return {"solver": solver, "grid": grid, "evaluations": evaluations, "guidance": 1.0}
