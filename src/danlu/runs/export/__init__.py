"""Export a run: files that sample without danlu, each checked against the model it came from.

Written are the functions that a family declares in `exports`, in every format asked for, with a
manifest (what goes in and out, on which scale, in which loop) and an example: noise, classes and
the samples that danlu makes of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from danlu.contracts import DanluError, Export, StorageError
from danlu.contracts.noise import ItemNoise
from danlu.contracts.recorded_noise import RecordedNoise
from danlu.files import whole_file, write_arrays, write_text
from danlu.generative.base import GenerativeModel
from danlu.runs.drawing import told_in_turn
from danlu.runs.export.formats import FORMATS, traced
from danlu.runs.export.manifest import EXAMPLES, manifest, readme
from danlu.runs.folders import Run

TOLERANCE = 1e-4
"""Largest difference between an exported function and the model, on the scale of the data."""
CHECKED = (1, 2, 5, 8)
"""Batch sizes at which they are compared."""
EXAMPLE_SEED = 0
KEPT = {
    "log_prob": "its value carries a bound and the error of its own draws; use danlu.load(RUN)",
    "encode": "only what samples is exported; use danlu.load(RUN)",
}
"""What a model can do that no file can, and why."""


@dataclass(slots=True)
class Exported:
    """What an export came to.

    Attributes:
        folder: where the files are.
        errors: file name -> largest difference from the model.
        refused: what could not be exported, though it was asked for -> why.
        kept: what a model can do that is never exported -> why.
    """

    folder: Path
    errors: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)


def export(run: Run, model: GenerativeModel, folder: Path, formats: Sequence[str]) -> Exported:
    """Write everything that can be exported of a run's model, in evaluation mode on the CPU.

    Raises:
        DanluError: the family has nothing to export, or a format's packages are missing.
    """
    for name in formats:
        FORMATS[name].require(name)
    options = run.config.options(model)
    parts = model.exports(options)
    if not parts:
        reason = model.instead.get("export", "it declares no function that works without danlu.")
        raise DanluError(f"{run.config.family} has nothing to export: {reason}")
    folder.mkdir(parents=True, exist_ok=True)
    done = Exported(folder)
    done.kept = {name: why for name, why in KEPT.items() if name in model.can}
    for name, part in parts.items():
        _write_part(name, part, formats, done)
    write_arrays(folder / "example.npz", _example(model, options))
    facts = manifest(run.config, parts, done.errors)
    write_text(folder / "manifest.json", facts.as_json())
    write_text(folder / "README.md", readme(facts))
    return done


def _write_part(name: str, part: Export, formats: Sequence[str], done: Exported) -> None:
    """One function in every format; a file that differs from the model is removed."""
    # The exporters name no errors of their own: whatever they raise, the rest is still exported.
    try:
        program = traced(part)
    except Exception as error:
        done.refused[name] = _first_line(error)
        return
    for ending in formats:
        path = done.folder / f"{name}.{ending}"
        try:
            with whole_file(path) as temporary:
                FORMATS[ending].write(program, part, temporary)
                done.errors[path.name] = _small(difference(part, temporary))
        except StorageError:
            raise
        except Exception as error:
            done.refused[path.name] = _first_line(error)


def _small(worst: float) -> float:
    """The difference, where a file is as good as the model."""
    if worst > TOLERANCE:
        raise ArithmeticError(f"it differs from the model by {worst:.1e}")
    return worst


@torch.no_grad()
def difference(part: Export, path: Path) -> float:
    """The largest difference between a file's answers and the module's, for several batch sizes."""
    function = FORMATS[path.suffix.removeprefix(".")].read(path)
    worst = 0.0
    for n in CHECKED:
        inputs = part.example(n)
        gap = (function(inputs) - part.module(*inputs)).abs().max()
        worst = max(worst, gap.item() if gap.isfinite() else float("inf"))
    return worst


@torch.no_grad()
def _example(model: GenerativeModel, options: Any) -> Mapping[str, np.ndarray]:
    """Noise in the order of the draws, class ids, and the samples: what `danlu sample` gives."""
    recorded = RecordedNoise(ItemNoise(EXAMPLE_SEED, range(EXAMPLES)))
    told = told_in_turn(model, EXAMPLES)
    x = model.draw(recorded, EXAMPLES, told, options)
    found = {f"noise_{index}": draw for index, (_, draw) in enumerate(recorded.draws)}
    found |= {"x": x} if told is None or told.ids is None else {"x": x, "class_id": told.ids}
    return {name: tensor.numpy() for name, tensor in found.items()}


def _first_line(error: Exception) -> str:
    line = next(iter(str(error).splitlines()), "").rstrip(".")
    if isinstance(error, ArithmeticError):
        return line
    return f"the exporter refuses it ({type(error).__name__}: {line})"
