"""Training and sampling crossed: any prediction on any path, sampled on any other by any solver.

One small network is trained for each of five predictions on each of four paths, on a mixture in
the plane, and each is sampled on all four paths by six solvers, without knowing of its training
more than the levels that it saw. Steppers and Euler-Maruyama go through the time of the path that
is sampled on, and the grid is even in it. A cell is the sliced Wasserstein distance of the samples
from held-out draws. Where every conversion is right, a row differs only by what its solvers err.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path as Folder
from typing import Any

import torch
from torch import Tensor

from danlu.contracts import DataDescription
from danlu.contracts.noise import BatchNoise
from danlu.data import Examples, ExampleStream
from danlu.generative.diffusion import GRIDS, PATHS
from danlu.generative.diffusion.analytic import two_dimensional
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.diffusion.networks import ConditionedNetwork, NetworkOptions
from danlu.generative.diffusion.parts import Parts
from danlu.generative.diffusion.paths import Path
from danlu.generative.diffusion.solvers.ancestral import Ancestral
from danlu.generative.diffusion.solvers.dpm_multistep import DPMSolverMultistep
from danlu.generative.diffusion.solvers.euler_maruyama import EulerMaruyama
from danlu.generative.diffusion.solvers.ode import OdeSolver
from danlu.generative.diffusion.solvers.solver import Solver
from danlu.generative.diffusion.solvers.solver import run as carry
from danlu.generative.diffusion.solvers.unipc import UniPC
from danlu.optim import OptimizerOptions
from danlu.solvers.steppers import Euler, Heun
from danlu.training import Budget, Plan, Policy, Trainer, TrainingRun
from danlu_bench.page import table, write_page
from danlu_bench.solvers import draws, sliced

TRAINED_PREDICTIONS = ("noise", "data", "score", "velocity", "v")
CROSSED_PATHS = ("linear", "trigonometric", "vp-linear", "variance-exploding")
CROSSED_SOLVERS: Mapping[str, tuple[int, Callable[[Path], Solver]]] = {
    "euler": (1, lambda path: OdeSolver(Euler(), path)),
    "heun": (2, lambda path: OdeSolver(Heun(), path)),
    "dpm-multistep": (1, lambda path: DPMSolverMultistep()),
    "unipc": (1, lambda path: UniPC()),
    "ancestral": (1, lambda path: Ancestral()),
    "euler-maruyama": (1, lambda path: EulerMaruyama(path=path)),
}
"""Name -> (evaluations of a step, the solver on a path)."""

PLANE = DataDescription(shape=(2,), levels=None, low=-4.0, high=4.0)
STEPS, POINTS, EVALUATIONS, EXAMPLES = 1000, 1000, 120, 20_000
BATCH, WIDTH, RATE = 256, 64, 4e-3
HIGHEST = 50.0
"""Where sampling starts: the mixture is lost in this noise, and noise predictions still know it."""
MOST = 3.0
"""The most that a cell may be over the median of its row."""

Report = Callable[[str], None]
Row = dict[tuple[str, str], float]
"""(path of sampling, solver) -> distance."""


def run(
    report: Report,
    *,
    predictions: Sequence[str] = TRAINED_PREDICTIONS,
    paths: Sequence[str] = CROSSED_PATHS,
    steps: int = STEPS,
    points: int = POINTS,
    evaluations: int = EVALUATIONS,
    folder: Folder | None = None,
) -> dict[str, Any]:
    """Train and sample all, and print the whole table; `holds` says whether every cell is near."""
    generator = torch.Generator().manual_seed(0)
    mixture = two_dimensional()
    data = draws(mixture, EXAMPLES, generator).float()
    held_out = draws(mixture, points, generator)
    floor = sliced(draws(mixture, points, generator), held_out)
    rows: dict[tuple[str, str], Row] = {}
    for prediction in predictions:
        for path in paths:
            model = trained(prediction, path, data, steps)
            levels = model.path.levels()
            row = crossed(model.denoiser(None), levels, paths, evaluations, held_out)
            rows[prediction, path] = row
            report(f"{prediction} on {path}: {_summary(row)}")
    found = {key: worst(row) for key, row in rows.items()}
    furthest = max(found, key=lambda key: found[key][0])
    study = f"({steps} steps, {evaluations} evaluations a sample)"
    lines = [*_head(found[furthest], furthest, floor, study), *_tables(rows, paths)]
    for line in lines[2:]:
        report(line)
    page = write_page("crossing", lines, {}, folder)
    report(f"page: {page}")
    return {
        "rows": {
            " / ".join(key): {" / ".join(k): d for k, d in row.items()} for key, row in rows.items()
        },
        "floor": floor,
        "worst": found[furthest][0],
        "holds": found[furthest][0] <= MOST,
    }


def trained(prediction: str, path: str, data: Tensor, steps: int) -> DiffusionModel:
    """A model of the plane trained by a prediction on a path, its weights averaged."""
    torch.manual_seed(0)
    parts = Parts(
        path=path, prediction=prediction, preconditioner="edm", weighting="min-snr", times="uniform"
    )
    size = NetworkOptions(width=WIDTH, blocks=3, features=WIDTH)
    model = DiffusionModel(PLANE, ConditionedNetwork(PLANE, size), parts)
    stream = ExampleStream(Examples(data, None, PLANE), PLANE, batch=BATCH, seed=0)
    plan = Plan(batch=BATCH, optimizers={"default": OptimizerOptions(rate=RATE)})
    setting = TrainingRun(policy=Policy(threads=torch.get_num_threads()))
    trainer = Trainer(model, stream, plan, Budget(steps=steps), run=setting)
    trainer.run()
    trainer.keep_averages()
    return model


@torch.no_grad()
def crossed(
    denoise: Denoiser,
    levels: tuple[float, float],
    paths: Sequence[str],
    evaluations: int,
    held_out: Tensor,
) -> Row:
    """Distances of a denoiser's samples on every path by every solver, all from one noise.

    Args:
        denoise: for the plane, in float32.
        levels: the lowest and the highest that it knows.
        paths: names of PATHS.
        evaluations: of the denoiser for each sample.
        held_out: draws of the data, as many as are sampled.
    """
    row: Row = {}
    for name in paths:
        path: Path = PATHS[name].build()
        (low, high), (lowest, highest) = path.levels(), levels
        for solver, (calls, make) in CROSSED_SOLVERS.items():
            steps = (evaluations - 1) // calls + 1
            ends = max(low, lowest), min(high, highest, HIGHEST)
            grid = GRIDS["uniform"].target(path, steps, *ends)
            torch.manual_seed(0)
            noise = BatchNoise(len(held_out))
            y = grid[0] * noise.normal(2)
            samples = carry(make(path), denoise, y, grid, noise)
            row[name, solver] = sliced(samples.double(), held_out)
    return row


def worst(row: Row) -> tuple[float, tuple[str, str]]:
    """The largest cell over the median of its row, and which it is."""
    cell = max(row, key=lambda key: row[key])
    return row[cell] / statistics.median(row.values()), cell


def _summary(row: Row) -> str:
    ratio, (path, solver) = worst(row)
    middle = statistics.median(row.values())
    return f"median {middle:.3f}, worst {ratio:.2f} times it, by {solver} on {path}"


def _head(
    found: tuple[float, tuple[str, str]], furthest: tuple[str, str], floor: float, study: str
) -> list[str]:
    ratio, (path, solver) = found
    return [
        "# Any training, any sampling",
        "",
        "`danlu bench crossing` trains one small network for each prediction on each path and",
        f"samples each on every path by every solver {study}. Cells are sliced",
        "Wasserstein distances from held-out draws of a mixture in the plane; two sets of draws",
        f"are {floor:.3f} apart.",
        "",
        f"{'Every' if ratio <= MOST else 'Not every'} cell is within {MOST:.0f} times the median",
        f"of its row. The furthest is {ratio:.2f} times it: {furthest[0]} trained on",
        f"{furthest[1]}, sampled on {path} by {solver}.",
    ]


def _tables(rows: Mapping[tuple[str, str], Row], paths: Sequence[str]) -> list[str]:
    lines = []
    for path in paths:
        lines += ["", f"## Sampled on {path}"]
        cells = [
            [*key, *(f"{row[path, solver]:.3f}" for solver in CROSSED_SOLVERS)]
            for key, row in rows.items()
        ]
        lines += table(["prediction", "trained on", *CROSSED_SOLVERS], cells)
    ends = [[*key, _summary(row)] for key, row in rows.items()]
    lines += ["", "## Medians and worst cells of the rows"]
    return [*lines, *table(["prediction", "trained on", "of all its cells"], ends)]
