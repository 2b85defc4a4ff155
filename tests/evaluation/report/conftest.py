import math
import shutil
from copy import deepcopy
from dataclasses import asdict

import pytest
import torch
from sklearn.datasets import load_digits

from danlu.contracts import Classes, DataDescription, DataKind
from danlu.evaluation.pictures import grid, neighbours
from danlu.evaluation.results import EvidenceRow, Measured, Picture, Results, Row, RowKind, StageRow

DIGITS = DataDescription(
    kind=DataKind.IMAGE, shape=(1, 8, 8), levels=17, low=-1.0, high=1.0, condition=Classes(10)
)
NOISE = {"rectified-flow": 0.12, "gan": 0.35, "vae": 0.6}
DISTANCE = {"rectified-flow": 3.21, "gan": 5.64, "vae": 9.87}
SPLIT = {
    "rectified-flow": (55.0, 55.2),
    "gan": (55.0, 54.9),
    "vae": (55.0, 55.1),
    "classifier": (12.0, 10.4),
    "evaluation": (45.0, 39.7),
    "report": (5.0, 2.1),
}


def figures(distance, coverage, agreement):
    return {
        "sliced-wasserstein": Measured(0.01 * distance, 0.002),
        "kid@classifier": Measured(0.012 * distance, 0.003),
        "frechet@classifier": Measured(distance, 0.11),
        "precision@classifier": Measured(0.93 - distance / 60, 0.012),
        "recall@classifier": Measured(0.90 - distance / 40, 0.014),
        "density@classifier": Measured(1.02 - distance / 50, 0.03),
        "coverage@classifier": Measured(coverage, 0.011),
        "class-agreement": Measured(agreement, 0.004),
        "sharpness": Measured(1 + distance / 30, 0.01),
        "neighbour-distance": Measured(1 - distance / 100, 0.02),
    }


def digits():
    data = load_digits()
    x = torch.as_tensor(data.images, dtype=torch.float32)[:, None] / 8 - 1
    return x, torch.as_tensor(data.target)


def model_row(name, folder, x, ids):
    generator = torch.Generator().manual_seed(7)
    chosen = torch.cat([torch.nonzero(ids == c)[:10, 0] for c in range(10)])
    row = Row(name=name, kind=RowKind.MODEL, settings="16 Heun steps, guidance 1.5")
    for step in range(1, 8):
        seconds = 55.2 * step / 7
        noise = NOISE[name] + 2.5 * math.exp(-step)
        drawn = x[chosen] + noise * torch.randn(100, 1, 8, 8, generator=generator)
        path = grid(drawn, DIGITS, path=folder / name / f"{step}.png", condition=ids[chosen])
        alt = f"100 samples of {name} after {seconds:.0f} seconds, a row for each digit"
        row.grids.append(Picture(seconds, str(path.relative_to(folder)), alt))
    pairs = neighbours(drawn[::5], x[chosen][::5], DIGITS, path=folder / name / "near.png")
    row.neighbours = Picture(55.2, str(pairs.relative_to(folder)), f"20 pairs of {name}")
    row.metrics = figures(DISTANCE[name], 0.95 - DISTANCE[name] / 30, 0.995 - DISTANCE[name] / 150)
    row.curves = {
        "frechet@classifier": [
            (float(t), DISTANCE[name] * (1 + 20 * math.exp(-t / 6))) for t in range(4, 56, 3)
        ],
        "loss": [(t / 10, 2 + 6 * math.exp(-t / 90) + 0.2 * math.sin(t)) for t in range(550)],
    }
    row.parameters, row.examples, row.steps = 812_345, 1_204_224, 9408
    row.train_seconds, row.sample_seconds, row.samples = 55.2, 1.93, 1000
    row.sample_evaluations = 1 if name != "rectified-flow" else 32
    efforts = (4, 8, 16, 32, 64) if name == "rectified-flow" else (1,)
    row.by_evaluations = {
        "class-agreement": [(float(n), 0.98 - 0.5 / n**1.5) for n in efforts],
        "sliced-wasserstein@pixels": [(float(n), 0.05 + 0.2 / n) for n in efforts],
    }
    row.stages = [StageRow("train", 1.0, 9408, 55.2)]
    return row


def yardstick(name, kind, folder, x, metrics):
    path = grid(x[:40], DIGITS, path=folder / "yardsticks" / f"{name}.png")
    picture = Picture(0.0, str(path.relative_to(folder)), f"40 examples of {name}")
    return Row(name=name, kind=kind, metrics=metrics, grids=[picture])


def kernels(folder, x, ids):
    near = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    metrics = figures(1.5, 0.9, 0.98) | {"neighbour-distance": Measured(0.2, 0.01)}
    row = yardstick("kernel density", RowKind.NON_PARAMETRIC, folder, near, metrics)
    row.train_seconds, row.sample_seconds, row.samples, row.examples = 0.4, 0.02, 1000, 1197
    row.sample_evaluations = 0
    row.evidence = EvidenceRow(
        Measured(-101.2, 0.9), Measured(2.28, 0.02), "lower", "counting", "class", 0, 360
    )
    return row


def race(folder):
    x, ids = digits()
    rows = [model_row(name, folder, x, ids) for name in ("vae", "gan", "rectified-flow")]
    rows[1].curves["loss/critic"] = [(float(t), math.sin(t / 9)) for t in range(55)]
    rows[1].curves["loss/generator"] = [(float(t), 1 + math.cos(t / 9)) for t in range(55)]
    del rows[1].curves["loss"]
    rows[0].settings = "draws from p(x|z)"
    rows[0].grids[-1] = Picture(
        55.2, rows[0].grids[-1].path, rows[0].grids[-1].alt, "means of p(x|z), not draws"
    )
    rows[0].evidence = EvidenceRow(
        Measured(-92.31, 0.62), Measured(2.081, 0.014), "lower", "counting", "none", 64, 360
    )
    rows[2].evidence = EvidenceRow(
        Measured(-80.12, 0.71),
        Measured(1.806, 0.016),
        "none",
        "counting",
        "class",
        128,
        360,
        "prior mismatch 0.02 nats",
    )
    mixed = x.flatten(1).gather(0, torch.rand(x.flatten(1).shape).argsort(0)).view_as(x)
    noisy = x + 0.2 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    return Results(
        title="Race on digits, 4 minutes",
        data="digits",
        description=asdict(DIGITS),
        rows=[
            *rows,
            kernels(folder, x, ids),
            yardstick("held-out", RowKind.FLOOR, folder, x[200:], figures(0.87, 0.96, 0.975)),
            yardstick("training copy", RowKind.TRAIN_COPY, folder, x, figures(0.9, 0.95, 0.99)),
            yardstick("values shuffled", RowKind.SANITY, folder, mixed, figures(60.0, 0.0, 0.1)),
            yardstick("noise 0.1", RowKind.CORRUPTION, folder, noisy, figures(12.4, 0.4, 0.9)),
        ],
        seed=0,
        seeds=1,
        split=dict(SPLIT),
        features={
            "pixels": {"name": "pixels", "hash": "", "accuracy": None, "seconds": 0.0},
            "classifier": {
                "name": "classifier trained on digits",
                "hash": "9f31c2ab77d0e1",
                "accuracy": 0.978,
                "seconds": 10.4,
            },
        },
        machine={"device": "cpu", "processor": "AMD EPYC", "cores": 2, "torch": "2.13.0"},
        held_out=360,
        reference="test split",
        command="danlu race digits --minutes 4 --seed 0",
        version="0.1.0",
        notices=["skipped broken.png: not an image"],
    )


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("race")
    return folder, race(folder)


@pytest.fixture
def results(made, tmp_path):
    folder, results = made
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return deepcopy(results)
