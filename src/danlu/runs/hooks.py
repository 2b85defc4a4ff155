"""Pictures while training, at moments that are close together early and far apart later.

A moment is a share of the run: 1/32, 1/16, … 1/2, and the end. Pictures may take a tenth of the
time of training; a moment that would take more is left out. They use noise of their own, so a
run ends in the same weights with and without them.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import Progress, Stage
from danlu.files import append_text, write_text
from danlu.generative.base import GenerativeModel
from danlu.runs.config import RunConfig
from danlu.runs.drawing import Drawn, Look, draw, drawable, picture, told, told_in_turn
from danlu.training import Hook, Outcome, Policy, Training
from danlu.training.records import read_rows, row_json

MOMENTS = tuple(2.0**-k for k in range(5, 0, -1))
CELLS, LAST_CELLS = 40, 100
SHARE = 0.1
"""Most of the training time that pictures may take."""
SAMPLES, INDEX = "samples", "pictures.jsonl"

Measure = Callable[[Drawn], Mapping[str, float]]
"""Cheap figures of some samples, for the curves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureRow:
    """What was drawn at a moment of a run.

    Attributes:
        step: rounds finished.
        seconds: of training.
        path: of the picture, from the run's folder; None where nothing can be shown.
        alt: what a person who cannot see it should know.
        note: what the picture shows where it is no plain samples.
        text: path of the texts that were drawn.
        figures: for the curves.
    """

    step: int
    seconds: float
    path: str | None = None
    alt: str = ""
    note: str = ""
    text: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict)


def read_pictures(folder: Path) -> tuple[list[PictureRow], list[str]]:
    """The index of a run's pictures, and a notice about lines that are left out."""
    return read_rows(folder / SAMPLES / INDEX, PictureRow)


class SamplePictures(Hook):
    """Writes `samples/*.png` and an index of when and what, with figures for the curves.

    Args:
        folder: of the run.
        config: of the run.
        policy: at which samples are drawn.
        measure: cheap figures for the curves; None measures nothing.
        points: samples behind a figure, at least those of a picture.
        behind: held-out points that pictures of 2-D data show below the samples, or None.
    """

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        policy: Policy,
        *,
        measure: Measure | None = None,
        points: int = CELLS,
        behind: Float[Tensor, "m 2"] | None = None,
    ) -> None:
        self.folder = folder
        self.config = config
        self.policy = policy
        self.measure = measure
        self.points = points
        self.behind = behind
        self._due: list[float] | None = None
        self._spent = self._last = 0.0

    @override
    def on_stage(self, trainer: Training, stage: Stage) -> None:
        if self._due is None:
            status = trainer.status()
            self._due = [moment for moment in MOMENTS if moment > status.fraction]
            self._forget(status.step)

    @override
    def on_round(self, trainer: Training, progress: Progress) -> None:
        if not self._due:
            return
        status = trainer.status()
        if status.fraction < self._due[0]:
            return
        self._due = [moment for moment in self._due if moment > status.fraction]
        whole = status.seconds + status.seconds_left
        if self._spent + self._last <= SHARE * whole:
            self._take(trainer, CELLS)

    @override
    def on_end(self, trainer: Training, outcome: Outcome) -> None:
        if not outcome.interrupted:
            self._forget(outcome.steps - 1)  # of this step there is one picture, the large one
            self._take(trainer, LAST_CELLS)

    def _forget(self, step: int) -> None:
        """Drop the pictures of steps that a kill took back, and a line that it cut off."""
        path = self.folder / SAMPLES / INDEX
        if path.exists():
            kept = [row for row in read_pictures(self.folder)[0] if row.step <= step]
            write_text(path, "".join(row_json(asdict(row)) for row in kept))

    def _take(self, trainer: Training, cells: int) -> None:
        began, status = perf_counter(), trainer.status()
        with trainer.averaged() as model:
            row = self._record(model, cells, status.step, status.seconds)
        append_text(self.folder / SAMPLES / INDEX, row_json(asdict(row)))
        self._last = perf_counter() - began
        self._spent += self._last

    def _record(self, model: GenerativeModel, cells: int, step: int, seconds: float) -> PictureRow:
        config, folder = self.config, self.folder / SAMPLES
        folder.mkdir(exist_ok=True)
        n = max(cells, self.points)
        drawn = draw(
            model,
            told_in_turn(model, n),
            n,
            options=config.options(model),
            seed=config.seed,
            policy=self.policy,
        )
        figures = {} if self.measure is None else dict(self.measure(drawn))
        row = PictureRow(step=step, seconds=seconds, figures=figures)
        if not drawable(config.description):
            return row
        path = folder / f"{step:06d}.png"
        look = Look(cells=cells, seed=config.seed, policy=self.policy, behind=self.behind)
        picture(model, drawn, path, look)
        alt = told(model, config.family, cells, seconds, config.class_names)
        return replace(row, path=f"{SAMPLES}/{path.name}", alt=alt, note=model.picture_note)
