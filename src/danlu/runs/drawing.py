"""Samples and pictures of a model: which classes, which options, how long it took."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from danlu.contracts import Condition, DataDescription, Told
from danlu.evaluation.pictures import grid
from danlu.generative.base import GenerativeModel
from danlu.runs.options import flat, place
from danlu.training import Policy

COLUMNS, MOST_COLUMNS = 10, 32
POINTS = 1000
"""Points of a picture of 2-D data."""
NAMED = ("solver", "evaluations", "guidance")
"""Options that a report names even at their defaults."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Samples on the CPU, what they were told to be, and what they cost."""

    x: Float[Tensor, "n ..."]
    condition: Told
    seconds: float

    @property
    def classes(self) -> Int[Tensor, " n"] | None:
        """The classes they were asked to be; None where there are none."""
        return None if self.condition is None else self.condition.ids

    def first(self, n: int) -> "Drawn":
        """The first of them, at their share of the cost."""
        n = min(n, len(self.x))
        condition = None if self.condition is None else self.condition[:n]
        return Drawn(self.x[:n], condition, self.seconds * n / len(self.x))


def draw(
    model: GenerativeModel,
    condition: Told,
    n: int,
    *,
    options: Any,
    seed: int,
    policy: Policy,
) -> Drawn:
    """Draw `n` samples at the speed policy of the run."""
    began = perf_counter()
    with policy.applied(), policy.precision():
        x = model.sample(n, condition=condition, seed=seed, options=options)
    return Drawn(x.float().cpu(), condition, perf_counter() - began)


def told_like(model: GenerativeModel, held_out: Told, n: int) -> Told:
    """`n` conditions as frequent as in held-out data; None where none can be asked for."""
    if held_out is None or not is_told(model):
        return None
    rows = torch.arange(n) * len(held_out) // n
    return held_out[rows if held_out.ids is None else held_out.ids.argsort(stable=True)[rows]]


def told_in_turn(model: GenerativeModel, n: int, held_out: Told = None) -> Told:
    """All classes in turn, or conditions of held-out data; None where none can be asked for."""
    if not is_told(model):
        return None
    if model.description.classes:
        return Condition(torch.arange(n) % model.description.classes)
    return None if held_out is None else held_out[torch.arange(n) % len(held_out)]


def is_told(model: GenerativeModel) -> bool:
    """Whether a model can be told what to draw."""
    return model.description.condition is not None and "condition" in model.can


def columns(classes: int) -> int:
    """Cells in a row of a grid of `told_in_turn`: each column is one class where that fits."""
    if not 1 <= classes <= MOST_COLUMNS:
        return COLUMNS
    return max(1, COLUMNS // classes) * classes


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How a picture is made.

    Attributes:
        cells: images in a grid.
        seed: of samples that are drawn for the picture alone.
        policy: at which they are drawn.
        behind: real points to show below samples of 2-D data.
    """

    cells: int
    seed: int
    policy: Policy
    behind: Float[Tensor, "m 2"] | None = None


def picture(model: GenerativeModel, drawn: Drawn, path: Path, look: Look) -> Path:
    """Write what people look at: a grid with a class for each column, or a scatter.

    Shows the samples that were drawn, unless the family has a form of its own for people.
    """
    shown = look.cells if model.description.is_image else POINTS
    if model.picture_options is not None or len(drawn.x) < shown:
        drawn = draw(
            model,
            told_in_turn(model, shown),
            shown,
            options=model.picture_options,
            seed=look.seed,
            policy=look.policy,
        )
    x = drawn.x[:shown].nan_to_num()
    return grid(
        x,
        model.description,
        path=path,
        columns=columns(model.description.classes),
        behind=look.behind,
    )


def told(
    model: GenerativeModel, name: str, n: int, seconds: float, class_names: tuple[str, ...]
) -> str:
    """What a person who cannot see the picture should know."""
    description = model.description
    if not description.is_image:
        return (
            f"{POINTS} points drawn from {name} after {seconds:.0f} seconds of training, over "
            "held-out examples in grey."
        )
    text = f"{n} samples of {name} after {seconds:.0f} seconds of training"
    if not (description.classes and is_told(model)):
        return f"{text}."
    if description.classes > MOST_COLUMNS:
        return f"{text}; the {description.classes} classes in turn."
    names = class_names or range(description.classes)
    return f"{text}; the columns are the classes {', '.join(map(str, names))}."


def drawable(description: DataDescription) -> bool:
    """Whether samples of this data can be shown."""
    return description.is_plane or (description.is_image and description.shape[0] in (1, 3))


def words_for_options(options: Any) -> str:
    """Sampler settings in words: the named ones and all that are not at their defaults."""
    values, usual = flat(options), flat(type(options)())
    named = [place(name, values) for name in NAMED]
    shown = [name for name in named if values.get(name) is not None]
    shown += [name for name in values if name not in shown and values[name] != usual[name]]
    return ", ".join(f"{name} {_word(values[name])}" for name in shown)


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
