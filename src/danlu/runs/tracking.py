"""Trackers: what a run logs, in the files of somebody else's viewer.

A tracker mirrors the run's own diary, `metrics.jsonl` and the index of its sample pictures, so that
its curves are those of the report, and a resumed run repeats nothing.
"""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from PIL import Image
from typing_extensions import override

from danlu.contracts import DanluError, Progress, Stage, unknown
from danlu.runs.hooks import SAMPLES, read_pictures
from danlu.training import Hook, Training
from danlu.training.log import read_metrics
from danlu.training.records import inside

TENSORBOARD = "tensorboard"
EVERY_SECONDS = 5.0
"""Seconds between two looks into the diary."""
READERS: Mapping[str, Callable[[Path], Any]] = {"metrics": read_metrics, "pictures": read_pictures}
"""What is mirrored, and what reads it."""
SCALARS = ("rate", "grad_norm", "examples_per_second")


class TensorBoard(Hook):
    """Writes losses, rates, figures and sample pictures as TensorBoard events.

    Args:
        folder: of the run; the events go into `tensorboard/` below it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: Any = None
        self._read = dict.fromkeys(READERS, 0)
        self._next = 0.0

    @override
    def on_stage(self, trainer: Training, stage: Stage) -> None:
        if self._writer is not None:
            return
        from torch.utils.tensorboard import SummaryWriter

        step = trainer.status().step
        # The viewer drops events of steps that a resumed run trains again.
        purge = step + 1 if step else None
        self._writer = SummaryWriter(str(self.folder / TENSORBOARD), purge_step=purge)
        for name in self._read:
            self._read[name] = sum(row.step <= step for row in READERS[name](self.folder)[0])

    @override
    def on_round(self, trainer: Training, progress: Progress) -> None:
        if monotonic() >= self._next:
            self._next = monotonic() + EVERY_SECONDS
            self._mirror()

    @override
    def close(self) -> None:
        if self._writer is not None:
            self._mirror()
            self._writer.close()
            self._writer = None

    def _mirror(self) -> None:
        """Write what the diary has gained."""
        metrics, pictures = self._read
        for row in self._new(metrics):
            self._scalars(f"{row.stage}/{row.player}", row.losses, row.step)
            rates = {name: getattr(row, name) for name in SCALARS}
            self._scalars(f"{row.stage}/{row.player}", rates, row.step)
        for row in self._new(pictures):
            self._scalars("figures", row.figures, row.step)
            if row.path is not None:
                with Image.open(inside(self.folder, row.path), formats=["PNG"]) as image:
                    pixels = np.asarray(image.convert("RGBA" if image.mode == "RGBA" else "RGB"))
                self._writer.add_image(SAMPLES, pixels, row.step, dataformats="HWC")
        self._writer.flush()

    def _scalars(self, group: str, values: Mapping[str, Any], step: int) -> None:
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def _new(self, name: str) -> list[Any]:
        """Rows of a file of the diary that were not read before."""
        rows = READERS[name](self.folder)[0][self._read[name] :]
        self._read[name] += len(rows)
        return rows


TRACKERS: Mapping[str, Callable[[Path], Hook]] = {TENSORBOARD: TensorBoard}


def require_tracker(name: str) -> None:
    """Raise `DanluError` when a tracker is unknown or its package is missing."""
    if name not in TRACKERS:
        raise unknown("tracker", name, TRACKERS)
    if find_spec(name) is None:
        raise DanluError(f"--track {name} needs a package: pip install {name} (the extra `track`).")
