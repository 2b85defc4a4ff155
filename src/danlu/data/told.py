"""What the examples of a file are told: classes, a vector or a text, from arrays beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from danlu.contracts import Classes, Condition, DanluError, Tokens, Vector
from danlu.data.captions import tokens_of_texts
from danlu.data.notices import MANY_CLASSES

LABELS, VECTORS, CAPTIONS = "labels", "condition", "captions"
ONE = {LABELS: "class id", VECTORS: "vector", CAPTIONS: "text"}
AXES = {LABELS: (1,), VECTORS: (1, 2), CAPTIONS: (1,)}
LARGEST = 2.0**53
"""Beyond it a float does not tell neighbouring whole numbers apart."""
FAR = 10.0

Parts = tuple[np.ndarray, ...]
"""An array of training, and one of the test split where the file has its own."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What examples are told.

    Attributes:
        kind: of it; None where nothing is told.
        parts: of training, and of the own test split; empty where nothing is told.
        class_names: one for each class id.
        notices: what a person should know.
    """

    kind: Classes | Vector | Tokens | None = None
    parts: tuple[Condition, ...] = ()
    class_names: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


def told_by(
    given: Mapping[str, Parts], label: str, counts: tuple[int, ...], where: object
) -> Telling:
    """The first of labels, condition and captions that is there, or what is asked for.

    Args:
        given: arrays by what they are.
        label: "captions" takes the texts, whatever else there is.
        counts: of the examples of each part.
        where: the file, as errors name it.

    Raises:
        DanluError: it is not there, does not fit the examples, or cannot be told.
    """
    there = [name for name in (LABELS, VECTORS, CAPTIONS) if given.get(name)]
    if label == CAPTIONS and CAPTIONS not in there:
        raise DanluError(f"--label captions: {where} has no texts; name them `captions`.")
    if not there:
        return Telling()
    chosen = CAPTIONS if label == CAPTIONS else there[0]
    found = given[chosen]
    if tuple(map(len, found)) != counts or found[0].ndim not in AXES[chosen]:
        raise DanluError(
            f"{where}: {chosen} must be one {ONE[chosen]} for each of the {counts[0]} examples, "
            f"got shape {found[0].shape}."
        )
    told = {LABELS: _classes, VECTORS: _vectors, CAPTIONS: _texts}[chosen](found, where)
    others = [name for name in there if name != chosen]
    said = [f"Told its {chosen}; {' and '.join(others)} are not used."] if others else []
    return Telling(told.kind, told.parts, told.class_names, (*told.notices, *said))


def _vectors(found: Parts, where: object) -> Telling:
    if any(part.dtype.kind not in "buif" for part in found):
        raise DanluError(f"{where}: condition must be numbers, got {found[0].dtype}.")
    values = [part.reshape(len(part), -1).astype(np.float32) for part in found]
    if not all(np.isfinite(value).all() for value in values):
        raise DanluError(f"{where}: condition holds infinite or missing numbers.")
    far = max(float(np.abs(value).max()) for value in values)
    said = (f"The condition reaches {far:g}: scale it to about 1.",) if far > FAR else ()
    parts = tuple(Condition(torch.from_numpy(value)) for value in values)
    return Telling(Vector(values[0].shape[1]), parts, (), said)


def _texts(found: Parts, where: object) -> Telling:
    if any(part.dtype.kind not in "US" for part in found):
        raise DanluError(f"{where}: captions must be texts, got {found[0].dtype}.")
    texts = [part.astype(str).tolist() for part in found]
    kind, all_of_them, said = tokens_of_texts([text for part in texts for text in part])
    ends = np.cumsum([0, *map(len, texts)]).tolist()
    parts = tuple(all_of_them[a:b] for a, b in pairwise(ends))
    return Telling(kind, parts, (), tuple(said))


def _classes(found: Parts, where: object) -> Telling:
    """Ids for every split, and the name behind each."""
    labels = np.concatenate([_whole(part, where) for part in found])
    names, ids = np.unique(labels, return_inverse=True)
    if len(names) > min(MANY_CLASSES, len(labels) // 2):
        raise DanluError(f"{where}: {len(names)} different labels are too many to be classes.")
    cuts = np.cumsum([len(part) for part in found])[:-1]
    parts = np.split(ids.astype(np.int64), cuts)
    told = tuple(Condition(torch.from_numpy(part)) for part in parts)
    return Telling(Classes(len(names)), told, tuple(map(str, names)))


def _whole(labels: np.ndarray, where: object) -> np.ndarray:
    """Labels that can be class ids: whole numbers, or words."""
    if labels.dtype.kind in "buiUS":
        return labels
    if labels.dtype.kind != "f":
        raise DanluError(f"{where}: labels must be whole numbers or words, got {labels.dtype}.")
    if not np.isfinite(labels).all():
        raise DanluError(f"{where}: some labels are infinite or missing; give each a class.")
    if (labels != np.rint(labels)).any() or (np.abs(labels) >= LARGEST).any():
        raise DanluError(f"{where}: labels must be class ids, not fractions or huge numbers.")
    return labels.astype(np.int64)
