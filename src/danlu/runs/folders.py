"""Run folders: made once, opened by anyone, loaded as a model from the folder alone.

Reading one is safe: records of plain data, weights by safetensors. A family that is not in the
library's table is passed in as `classes={"name": builder}`; nothing that a file names is imported.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from danlu.contracts import DanluError
from danlu.files import TEMPORARY, clear_leftovers, write_text
from danlu.generative.base import GenerativeModel
from danlu.runs.config import RunConfig
from danlu.runs.families import Classes
from danlu.training import Budget
from danlu.training.checkpoint import Meta, load_average
from danlu.training.locking import LOCK, held
from danlu.training.records import read_yaml, record_yaml
from danlu.training.weights import restore

CONFIG, SAMPLES = "config.yaml", "samples"
RACE, RESULTS = "race.json", "results.json"


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder, what it was asked for, and what is not as it was written."""

    folder: Path
    config: RunConfig
    notices: tuple[str, ...] = ()

    def model(
        self, classes: Classes = None, device: str | torch.device = "cpu"
    ) -> tuple[GenerativeModel, Meta, list[str]]:
        """The trained model, averaged weights and evaluation mode, and where training stood.

        The notices at the end say what is not as it was written; pass them on.

        Raises:
            DanluError: the family is unknown, or there are no weights to load.
        """
        model = self.config.build(classes)
        meta, _, notices = load_average(self.folder, lambda tensors: restore(model, tensors))
        return model.to(device).eval(), meta, [*self.notices, *notices]

    def extended(self, budget: Budget) -> "Run":
        """The same run with another length, recorded."""
        run = replace(self, config=replace(self.config, budget=budget))
        _write_config(run)
        return run


def require_new(folder: Path) -> None:
    """Raise `DanluError` when a folder already holds something; what a kill left is nothing."""
    if folder.exists() and (not folder.is_dir() or any(map(_counts, folder.iterdir()))):
        goes_on = ""
        if (folder / CONFIG).exists():
            goes_on = f", or go on with `danlu train --resume {folder}`"
        elif (folder / RACE).exists() and not (folder / RESULTS).exists():
            goes_on = f", or go on with the race that began there: `danlu race --resume {folder}`"
        raise DanluError(f"{folder} exists already; choose another --out{goes_on}.")


def _counts(path: Path) -> bool:
    return path.name != LOCK and not path.name.startswith(TEMPORARY)


def require_unused(path: Path) -> None:
    """Raise `DanluError` when a path that was asked for holds something already."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise DanluError(f"{path} exists already; nothing is overwritten, choose another --out.")


def create(folder: Path, config: RunConfig) -> Run:
    """A new run folder with its config.

    Raises:
        DanluError: the folder already holds something.
    """
    require_new(folder)
    run = Run(folder, config)
    with held(folder):
        require_new(folder)  # also of somebody who was a moment earlier
        clear_leftovers(folder)
        _write_config(run)
    return run


def open_run(folder: str | Path) -> Run:
    """An existing run folder.

    Raises:
        DanluError: it is not there, or is no run.
    """
    folder = Path(folder)
    path = folder / CONFIG
    if not path.exists():
        members = sorted(each.parent.name for each in folder.glob(f"*/{CONFIG}"))
        if members:
            raise DanluError(f"{folder} is a race; choose one of its runs: {', '.join(members)}.")
        raise DanluError(f"{folder} is no run: it has no {CONFIG}.")
    config, damage = read_yaml(path, RunConfig)
    return Run(folder, config, (damage,) if damage else ())


def load(path: str | Path, classes: Mapping[str, Any] | None = None) -> GenerativeModel:
    """A trained model from its run folder: averaged weights, evaluation mode, on the CPU.

    It warns where the folder is damaged and an older checkpoint takes the place of the newest.

    Args:
        path: the run folder.
        classes: builders of families that are not danlu's own, by the name they trained under;
            each is called with `(description, **settings)`.

    Raises:
        DanluError: there is no run, no weights, or the family is unknown.
    """
    model, _, notices = open_run(path).model(classes)
    for line in notices:
        warnings.warn(line, stacklevel=2)
    return model


def _write_config(run: Run) -> None:
    write_text(run.folder / CONFIG, record_yaml(run.config.to_dict()))
