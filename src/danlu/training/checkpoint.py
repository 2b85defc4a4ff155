"""Checkpoints: whole or absent, checked when read, never unpickled freely.

```
checkpoints/000600/  model.safetensors   the weights in training
                     average.safetensors the averaged weights, what a trained model uses
                     state.pt            optimisers and averages, read with weights_only=True
                     meta.json           where the run stood, and digests of all four
checkpoints/LATEST   the newest one's name, and a digest of it
```
There is no random state: every play seeds itself from (run seed, stage, step, play), and the
data's order is a function of the position. The last two and every final one are kept; those of a
line that was abandoned, with more steps than the newest, are removed.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from danlu.contracts import DanluError
from danlu.files import (
    ASIDE,
    bring_back,
    clear_leftovers,
    patient_file,
    whole_folder,
    write_text,
)
from danlu.training.budget import Spent
from danlu.training.records import read_json, record_json, text_of
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

    def __post_init__(self) -> None:
        if not 0 <= self.stage == len(self.spent) - 1:
            raise DanluError(f"stage {self.stage} is not the last of {len(self.spent)} stages.")
        if self.position < 0:
            raise DanluError(f"position must not be negative, got {self.position}.")

    @property
    def total(self) -> Spent:
        """Over all stages."""
        return sum(self.spent, Spent())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Record(Meta):
    """What meta.json holds: where the run stood, and file -> digest."""

    digests: Mapping[str, str]


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
        with patient_file(place / STATE) as file:
            torch.save(checkpoint.state, file)
        digests = {file: _digest(place / file) for file in (MODEL, AVERAGE, STATE)}
        facts = {**asdict(checkpoint.meta), "digests": digests}
        write_text(place / META, record_json(facts))
    write_text(home / LATEST, f"{name} {_short(name)}\n")
    _prune(home, int(name))


def begun(folder: Path) -> bool:
    """Whether a run folder has, or had, a checkpoint."""
    return bool(_named(folder / FOLDER)) or any(_candidates(folder / FOLDER))


def load_newest(
    folder: Path, take: Callable[[Checkpoint], list[str]] = lambda checkpoint: []
) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint of a run folder that can be taken, and notices about others.

    What a kill left half-written is removed: call this only where training goes on.

    Args:
        folder: of the run.
        take: goes on from a checkpoint and returns notices, or raises DanluError where it is not
            of this run; then an older one is tried.

    Raises:
        DanluError: there are checkpoints, but none is whole; or there were, and all are gone.
    """
    home = folder / FOLDER
    if not home.exists():
        return None, []
    clear_leftovers(home)
    bring_back(home)
    notices, why = [*_doubts(home)], ""
    for place in _candidates(home):
        try:
            saved = _read(place)
            return saved, notices + take(saved)
        except DanluError as error:
            why = why or f"{place.name}: {error}"
            notices.append(_left_out(place, error))
    if why:
        raise DanluError(f"No checkpoint in {home} is whole: {why}")
    if named := _named(home):
        raise DanluError(
            f"{home} has lost its checkpoints: {LATEST} names {named}, but there is none. "
            "Put one back, or train into another folder."
        )
    return None, notices


def load_average(
    folder: Path, take: Callable[[dict[str, Tensor]], None] = lambda tensors: None
) -> tuple[Meta, dict[str, Tensor], list[str]]:
    """The averaged weights of the newest checkpoint where they are whole, and notices.

    Args:
        folder: of the run.
        take: puts the weights to use, or raises DanluError where they are of another model; then
            an older checkpoint is tried.

    Raises:
        DanluError: the run has no usable checkpoint.
    """
    home, why = folder / FOLDER, ""
    notices = [*_doubts(home)]
    for place in _candidates(home):
        try:
            meta, digests = _read_meta(place)
            _check(place / AVERAGE, digests)
            tensors = load_tensors(place / AVERAGE)
            take(tensors)
            return meta, tensors, notices
        except DanluError as error:
            why = why or f" ({place.name}: {error})"
            notices.append(_left_out(place, error))
    raise DanluError(f"{folder} has no checkpoint to load; train it first.{why}")


def _left_out(place: Path, error: DanluError) -> str:
    return f"Checkpoint {place.name} is damaged ({error}); going back to another."


def _candidates(home: Path) -> Iterator[Path]:
    """Checkpoints, the one that LATEST names first, then from new to old."""
    places = {p.name.removeprefix(ASIDE): p for p in home.glob(ASIDE + "*")}
    places |= {p.name: p for p in home.glob("*")}
    names = [name for name, place in places.items() if _is_step(name) and place.is_dir()]
    names.sort(key=int, reverse=True)
    named = _named(home)
    for name in sorted(names, key=lambda name: name != named):
        yield places[name]


def _is_step(name: str) -> bool:
    """Whether a folder can be a checkpoint's; other alphabets have digits too."""
    return name.isascii() and name.isdecimal()


def _named(home: Path) -> str:
    """What LATEST says; empty where there is no such file, or where it is damaged."""
    try:
        name, *digest = text_of(home / LATEST, most=1000).split()
    except (DanluError, ValueError):
        return ""
    return name if digest in ([], [_short(name)]) else ""  # earlier versions wrote no digest


def _doubts(home: Path) -> Iterator[str]:
    """A notice where LATEST is there and of no use."""
    named, path = _named(home), home / LATEST
    if not named and path.exists():
        yield f"{path} is damaged; the checkpoint with the most steps counts as the newest."
    newest = next(_candidates(home), None)
    if named and newest is not None and newest.name.removeprefix(ASIDE) != named:
        yield f"Checkpoint {named}, which {LATEST} names, is absent; going back to another."


def _read(place: Path) -> Checkpoint:
    meta, digests = _read_meta(place)
    for file in (MODEL, AVERAGE, STATE):
        _check(place / file, digests)
    try:
        state = torch.load(place / STATE, weights_only=True, map_location="cpu")
    except Exception as error:  # what its reader raises is not documented
        raise DanluError(f"{STATE} cannot be read ({type(error).__name__})") from error
    if not isinstance(state, dict):
        raise DanluError(f"{STATE} holds {type(state).__name__}, expected optimisers")
    return Checkpoint(
        meta=meta,
        model=load_tensors(place / MODEL),
        average=load_tensors(place / AVERAGE),
        state=state,
    )


def _read_meta(place: Path) -> tuple[Meta, Mapping[str, str]]:
    record, damage = read_json(place / META, _Record)
    if damage:
        raise DanluError(f"{META} is not what was written")
    return Meta(**{each.name: getattr(record, each.name) for each in fields(Meta)}), record.digests


def _check(path: Path, digests: Mapping[str, str]) -> None:
    if not path.is_file():
        raise DanluError(f"{path.name} is absent")
    try:
        found = _digest(path)
    except OSError as error:
        raise DanluError(f"{path.name} cannot be read: {error.strerror}") from error
    if found != digests.get(path.name):
        raise DanluError(f"{path.name} is not what was written")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _short(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=4).hexdigest()


def _prune(home: Path, written: int) -> None:
    places = [place for place in home.iterdir() if _is_step(place.name) and place.is_dir()]
    places.sort(key=lambda place: int(place.name))
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
