"""Checkpoints: whole or absent, checked when read, never unpickled freely.

```
checkpoints/000600/  model.safetensors   the weights in training
                     average.safetensors the averaged weights, what a trained model uses
                     state.pt            optimisers and averages, read with weights_only=True
                     meta.json           where the run stood, and the other files' digests
checkpoints/LATEST   the newest one's name
```
There is no random state: every play seeds itself from (run seed, stage, step, play), and the
data's order is a function of the position. The last two and every final one are kept; those of a
line that was abandoned, with more steps than the newest, are removed.
"""

import hashlib
import json
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from danlu.contracts import DanluError
from danlu.training.budget import Spent
from danlu.training.files import ASIDE, TEMPORARY, bring_back, whole_folder, write_text
from danlu.training.weights import load_tensors

FOLDER, LATEST = "checkpoints", "LATEST"
MODEL, AVERAGE, STATE, META = "model.safetensors", "average.safetensors", "state.pt", "meta.json"
KEPT = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Meta:
    """Where a run stood.

    Attributes:
        stage: index of the stage.
        spent: what each stage up to this one spent.
        position: examples consumed.
        finished: whether the budget was spent and the last touches are done.
        seed: of the run.
    """

    stage: int
    spent: tuple[Spent, ...]
    position: int
    finished: bool
    seed: int

    @property
    def total(self) -> Spent:
        """Over all stages."""
        return sum(self.spent, Spent())


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """All that a resume restores."""

    meta: Meta
    model: dict[str, Tensor]
    average: dict[str, Tensor]
    state: dict[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint into a run folder, then drop the old ones and an abandoned line's."""
    home = folder / FOLDER
    name = f"{checkpoint.meta.total.steps:06d}"
    with whole_folder(home / name) as place:
        save_file(checkpoint.model, place / MODEL)
        save_file(checkpoint.average, place / AVERAGE)
        torch.save(checkpoint.state, place / STATE)
        digests = {file: _digest(place / file) for file in (MODEL, AVERAGE, STATE)}
        meta = {**asdict(checkpoint.meta), "digests": digests}
        (place / META).write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
    write_text(home / LATEST, name + "\n")
    _prune(home, int(name))


def load_newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint of a run folder, and notices about damaged ones.

    What a kill left half-written is removed: call this only where training goes on.

    Raises:
        DanluError: there are checkpoints, but none is whole; or there were, and all are gone.
    """
    home = folder / FOLDER
    for leftover in home.glob(TEMPORARY + "*"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    bring_back(home)
    notices: list[str] = []
    for place in _candidates(folder):
        try:
            return _read(place), notices
        except DanluError as error:
            notices.append(f"Checkpoint {place.name} is damaged ({error}); going back to another.")
    if notices:
        raise DanluError(f"No checkpoint in {home} is whole: {notices[0]}")
    if named := _named(home):
        raise DanluError(
            f"{home} has lost its checkpoints: {LATEST} names {named}, but there is none. "
            "Put one back, or train into another folder."
        )
    return None, notices


def load_average(folder: Path) -> tuple[Meta, dict[str, Tensor], list[str]]:
    """The averaged weights of the newest checkpoint where they are whole, and notices.

    Raises:
        DanluError: the run has no usable checkpoint.
    """
    notices: list[str] = []
    for place in _candidates(folder):
        try:
            meta, digests = _read_meta(place)
            _check(place / AVERAGE, digests)
            return meta, load_tensors(place / AVERAGE), notices
        except DanluError as error:
            notices.append(f"Checkpoint {place.name} is damaged ({error}); going back to another.")
    raise DanluError(f"{folder} has no checkpoint to load; train it first.")


def _candidates(folder: Path) -> Iterator[Path]:
    """Checkpoints, the one that LATEST names first, then from new to old."""
    home = folder / FOLDER
    if not home.is_dir():
        return
    places = {p.name.removeprefix(ASIDE): p for p in home.glob(ASIDE + "*")}
    places |= {p.name: p for p in home.iterdir() if p.name.isdigit()}
    names = sorted(filter(str.isdigit, places), key=int, reverse=True)
    named = _named(home)
    for name in sorted(names, key=lambda name: name != named):
        yield places[name]


def _named(home: Path) -> str:
    """What LATEST says; empty where there is no such file."""
    pointer = home / LATEST
    return pointer.read_text(encoding="utf-8").strip() if pointer.exists() else ""


def _read(place: Path) -> Checkpoint:
    meta, digests = _read_meta(place)
    for file in (MODEL, AVERAGE, STATE):
        _check(place / file, digests)
    try:
        state = torch.load(place / STATE, weights_only=True, map_location="cpu")
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise DanluError(f"{STATE} cannot be read: {error}") from error
    return Checkpoint(
        meta=meta,
        model=load_tensors(place / MODEL),
        average=load_tensors(place / AVERAGE),
        state=state,
    )


def _read_meta(place: Path) -> tuple[Meta, dict[str, str]]:
    try:
        raw = json.loads((place / META).read_text(encoding="utf-8"))
        digests = raw.pop("digests")
        raw["spent"] = tuple(Spent(**spent) for spent in raw["spent"])
        return Meta(**raw), digests
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DanluError(f"{META} cannot be read") from error


def _check(path: Path, digests: dict[str, str]) -> None:
    if not path.exists():
        raise DanluError(f"{path.name} is absent")
    if _digest(path) != digests.get(path.name):
        raise DanluError(f"{path.name} is not what was written")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _prune(home: Path, written: int) -> None:
    places = sorted((p for p in home.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
    line = [place for place in places if int(place.name) <= written]
    for abandoned in places[len(line) :]:
        shutil.rmtree(abandoned)
    for place in line[:-KEPT]:
        try:
            final = _read_meta(place)[0].finished
        except DanluError:
            final = False
        if not final:
            shutil.rmtree(place)
