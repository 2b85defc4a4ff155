"""Small runs that earlier versions left, which every later version opens, samples and resumes.

    python tests/house/old_runs.py gan vae

adds a run of each named family to `fixtures/old_runs`, as this version makes it. What is there is
never made again: it is of the version that `config.yaml` names.
"""

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from danlu.contracts import Progress
from danlu.data import ExampleStream
from danlu.runs.config import resolve
from danlu.runs.drawing import draw, told_in_turn
from danlu.runs.folders import create, open_run
from danlu.runs.settings import Settings
from danlu.runs.train import choose_data, choose_text, open_data
from danlu.training import Budget, Policy, Trainer, TrainingRun
from danlu.training.locking import LOCK

HOME = Path(__file__).parent / "fixtures"
OLD = HOME / "old_runs"
DRAWN = "drawn.safetensors"
N, SEED, STEPS, WINDOW = 4, 1, 4, 32

UNET = "width=8 blocks=1"
SIZES = {
    "vae": "latent=4 width=4",
    "gan": "latent=4 width=1",
    "wgan": "latent=4 width=1",
    "rectified-flow": f"{UNET} features=8",
    "flow": "couplings=2 width=4",
    "ffjord": "width=8 depth=1",
    "ddpm": f"{UNET} features=8",
    "improved-ddpm": UNET,
    "score-sde": UNET,
    "edm": UNET,
    "meanflow": UNET,
    "consistency": UNET,
    "reflow": f"{UNET} pairs=16",
    "distilled": f"{UNET} pairs=16",
    "latent-flow": "latent=4 width=4 flow_width=8 flow_blocks=1",
    "autoregressive": "dim=8 depth=1 heads=2",
    "lm": "dim=8 depth=1 heads=2",
    "mlm": "dim=8 depth=1 heads=2",
    "vq": "codes=8 width=4 prior_width=8 prior_depth=1",
}
TEXT, POINTS = ("lm", "mlm"), ("ffjord", "meanflow", "score-sde")
"""Families whose run is of text, or of points in the plane; the others' are of digits."""


def data_of(family, settings):
    """A choice of data that holds no path of this machine: it is opened in `fixtures`."""
    if family not in TEXT:
        return choose_data("two-moons" if family in POINTS else "digits")
    return replace(choose_text(["text.txt"], settings, size=WINDOW), source="text.txt")


def make(family):
    """Train the run, and keep some samples beside it."""
    settings = Settings(["train.batch=8", *(f"model.{each}" for each in SIZES[family].split())])
    choice = data_of(family, settings)
    source = open_data(choice)
    config = resolve(family, source, choice, Budget(steps=STEPS), settings=settings)
    run = create(OLD / family, config)
    stream = ExampleStream(
        source.training, source.description, batch=config.plan.batch, seed=config.seed, flips=False
    )
    around = TrainingRun(folder=run.folder, seed=config.seed, policy=Policy())
    Trainer(config.build(), stream, config.plan, config.budget, run=around).run()
    last = max(run.folder.glob("checkpoints/0*"))
    for place in run.folder.glob("checkpoints/0*"):
        if place != last:
            shutil.rmtree(place)
    (run.folder / LOCK).unlink(missing_ok=True)
    save_file({"x": drawn(run.folder)}, run.folder / DRAWN)


def drawn(folder):
    """Samples of a run, by its own options; the loss of a batch where it draws none."""
    run = open_run(folder)
    model, _, notices = run.model()
    assert not notices, notices
    if "sample" not in model.can:
        torch.manual_seed(SEED)
        return model.loss(
            batch_of(run), "model", Progress(step=0, fraction=0.5, seed=SEED)
        ).total.detach()
    options = run.config.options(model)
    told = told_in_turn(model, N)
    return draw(model, told, N, options=options, seed=SEED, policy=Policy()).x.contiguous()


def batch_of(run):
    """The first examples of the run's data."""
    source = open_data(run.config.data)
    return next(ExampleStream(source.training, source.description, batch=N, seed=SEED))


def main():
    os.chdir(HOME)
    torch.set_num_threads(1)
    for family in sys.argv[1:]:
        make(family)
        size = sum(path.stat().st_size for path in (OLD / family).rglob("*") if path.is_file())
        print(f"{family:20} {size:9,} bytes", flush=True)


if __name__ == "__main__":
    main()
