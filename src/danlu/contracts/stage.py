"""Players, plays and stages: who trains when, as data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from danlu.contracts.batch import Stream

Prepare = Callable[[Any, Stream], Stream]


@dataclass(frozen=True, slots=True)
class Player:
    """One turn of a round: `times` optimiser steps of the player called `name`."""

    name: str
    times: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A part of training with its own share of the budget and its own schedule.

    Attributes:
        name: unique in the model.
        share: part of the whole budget; the shares of a model sum to 1.
        plays: the order of one round, for example critic x 5, then generator x 1.
        prepare: `(model, stream) -> stream`, called once when the stage starts; may encode the
            data or generate pairs. Players of earlier stages that do not play here are frozen.
        carries: whether players of the stage before go on with their optimisers as they are.
    """

    name: str
    share: float
    plays: tuple[Player, ...]
    prepare: Prepare | None = None
    carries: bool = False
