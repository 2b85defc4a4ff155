"""Run folders: made once, opened by anyone, loaded as a model from the folder alone.

Reading one is safe: YAML by `safe_load`, weights by safetensors. A family that is not in the
library's table is passed in as `classes={"name": builder}`; nothing that a file names is imported.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from danlu.contracts import DanluError
from danlu.experiments.config import RunConfig
from danlu.experiments.families import Classes
from danlu.generative.base import GenerativeModel
from danlu.training import Budget
from danlu.training.checkpoint import Meta, load_average
from danlu.training.files import write_text
from danlu.training.weights import restore

CONFIG, SAMPLES = "config.yaml", "samples"
RACE, RESULTS = "race.json", "results.json"


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder and what it was asked for."""

    folder: Path
    config: RunConfig

    def model(
        self, classes: Classes = None, device: str | torch.device = "cpu"
    ) -> tuple[GenerativeModel, Meta]:
        """The trained model, averaged weights and evaluation mode, and where training stood.

        Raises:
            DanluError: the family is unknown, or there are no weights to load.
        """
        meta, tensors, _ = load_average(self.folder)
        model = self.config.build(classes)
        restore(model, tensors)
        return model.to(device).eval(), meta

    def extended(self, budget: Budget) -> "Run":
        """The same run with another length, recorded."""
        run = Run(self.folder, replace(self.config, budget=budget))
        _write_config(run)
        return run


def require_new(folder: Path) -> None:
    """Raise `DanluError` when a folder already holds something."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        goes_on = ""
        if (folder / CONFIG).exists():
            goes_on = f", or go on with `danlu train --resume {folder}`"
        elif (folder / RACE).exists() and not (folder / RESULTS).exists():
            goes_on = f", or go on with the race that began there: `danlu race --resume {folder}`"
        raise DanluError(f"{folder} exists already; choose another --out{goes_on}.")


def create(folder: Path, config: RunConfig) -> Run:
    """A new run folder with its config.

    Raises:
        DanluError: the folder already holds something.
    """
    require_new(folder)
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, config)
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
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DanluError(f"{path} cannot be read as YAML.") from error
    if not isinstance(raw, Mapping):
        raise DanluError(f"{path} is not of a danlu run.")
    return Run(folder, RunConfig.from_dict(raw))


def load(path: str | Path, classes: Mapping[str, Any] | None = None) -> GenerativeModel:
    """A trained model from its run folder: averaged weights, evaluation mode, on the CPU.

    Args:
        path: the run folder.
        classes: builders of families that are not danlu's own, by the name they trained under;
            each is called with `(description, **settings)`.

    Raises:
        DanluError: there is no run, no weights, or the family is unknown.
    """
    return open_run(path).model(classes)[0]


def _write_config(run: Run) -> None:
    text = yaml.safe_dump(run.config.to_dict(), sort_keys=False, allow_unicode=True)
    write_text(run.folder / CONFIG, text)
