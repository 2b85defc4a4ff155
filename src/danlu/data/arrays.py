"""Arrays in an `.npz` or `.npy` file: images or vectors, with or without class ids.

The examples stand under `x`, `images`, `train`, `x_train`, `data` or `arr_0`; class ids, if any,
under `labels`, `y`, `y_train`, `train_labels` or `targets`; a test split of its own under `test`
or `x_test` with `test_labels` or `y_test`. Images are `[n, height, width]` with a channel axis
anywhere but first, in 8 or 16 bits or floats; vectors are `[n, features]` and keep their
coordinates. Labels are whole numbers or words; their values become ids in their order. Splits
without a given test: by a hash of the index, a tenth (at most 10,000) each, stratified.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from danlu.contracts import Classes, DanluError, DataDescription
from danlu.data.notices import MANY_CLASSES, cautions
from danlu.data.readable import Converted, Stored
from danlu.data.scales import Scaled, require_finite, scale_images, scale_vectors
from danlu.data.source import Examples, Source
from danlu.data.splits import SMALLEST, held_out, split
from danlu.data.stored import InFile, stored_arrays

EXAMPLES = ("x", "images", "train", "x_train", "data", "arr_0")
LABELS = ("labels", "y", "y_train", "train_labels", "targets")
TEST_EXAMPLES = ("test", "x_test", "test_images")
TEST_LABELS = ("test_labels", "y_test")
LARGEST = 2.0**53
"""Beyond it a float does not tell neighbouring whole numbers apart."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """Examples and labels of a file: of training, and of its own test split where it has one."""

    x: tuple[np.ndarray, ...]
    labels: tuple[np.ndarray, ...]


def array_source(path: Path) -> Source:
    """The arrays of an `.npz` or `.npy` file as a source.

    Raises:
        DanluError: no file of plain arrays, no known key, shapes that do not fit, or more than
            the memory holds.
    """
    arrays = _read(path)
    scaled = _scale(arrays.x, path)
    ids, class_names = _class_ids(arrays, path)
    description = DataDescription(
        kind=scaled.kind,
        shape=tuple(scaled.parts[0].shape[1:]),
        levels=scaled.levels,
        low=scaled.low,
        high=scaled.high,
        condition=Classes(len(class_names)) if class_names else None,
    )
    stored = [p if isinstance(p, Converted) else torch.from_numpy(p) for p in scaled.parts]
    first = ids[0] if ids else None
    n, own_test = len(stored[0]), len(stored) > 1
    *learned, test = split(
        range(n), first, validation=held_out(n), test=0 if own_test else held_out(n)
    )
    parts = [_examples(stored[0], first, description, rows) for rows in (*learned, test)]
    if own_test:
        parts[2] = _examples(stored[1], ids[1] if ids else None, description, None)
    training, validation, held = parts
    notices = (*scaled.notices, *cautions(description, len(training), len(held)))
    return Source(
        name=path.stem,
        description=description,
        class_names=class_names,
        training=training,
        validation=validation,
        test=held,
        notices=notices,
    )


def _examples(
    stored: Stored, ids: np.ndarray | None, description: DataDescription, rows: np.ndarray | None
) -> Examples:
    chosen = ids if ids is None or rows is None else ids[rows]
    return Examples(
        stored,
        None if chosen is None else torch.from_numpy(chosen),
        description,
        None if rows is None else torch.from_numpy(rows),
    )


def _read(path: Path) -> Arrays:
    stored = stored_arrays(path)
    x, labels = _pick(stored, EXAMPLES), _pick(stored, LABELS)
    test, test_labels = _pick(stored, TEST_EXAMPLES), _pick(stored, TEST_LABELS)
    if x is None:
        raise DanluError(
            f"{path} holds {', '.join(stored) or 'nothing'}; name the examples `x` or `images` "
            "and their class ids `labels`."
        )
    if len(x) < SMALLEST:
        raise DanluError(f"{path} holds {len(x)} examples; at least {SMALLEST} are needed.")
    if labels is not None and labels.shape != (len(x),):
        raise DanluError(
            f"{path}: labels must be one class id for each of the {len(x)} examples, "
            f"got shape {labels.shape}."
        )
    if test is None:
        return Arrays((x,), () if labels is None else (labels,))
    fits = (labels is None) == (test_labels is None) and len(test) > 0
    if test_labels is not None:
        fits &= test_labels.shape == (len(test),)
    if not fits or x.shape[1:] != test.shape[1:] or x.dtype.kind != test.dtype.kind:
        raise DanluError(f"{path}: the test arrays do not fit the training arrays.")
    both = () if labels is None or test_labels is None else (labels, test_labels)
    return Arrays((x, test), both)


def _pick(stored: Mapping[str, InFile], names: tuple[str, ...]) -> np.ndarray | None:
    found = next((stored[name] for name in names if name in stored), None)
    return None if found is None else np.atleast_1d(found.load())


def _scale(parts: tuple[np.ndarray, ...], path: Path) -> Scaled:
    """Images or vectors by the number of axes, on the scale that models see."""
    x = parts[0]
    if x.dtype.kind not in "buif":
        raise DanluError(f"{path}: examples must be numbers, got {x.dtype}.")
    pictures = [_channels_first(part) for part in parts]
    if 0 in x.shape or (x.ndim != 2 and any(part is None for part in pictures)):
        raise DanluError(
            f"{path}: examples of shape {x.shape} are neither vectors [n, features] nor images "
            "[n, height, width] with 1 or 3 channels."
        )
    try:
        require_finite(parts)
        if x.ndim == 2:
            return scale_vectors(*parts)
        return scale_images(*(part for part in pictures if part is not None))
    except DanluError as error:
        raise DanluError(f"{path}: {error}") from error


def _channels_first(x: np.ndarray) -> np.ndarray | None:
    """A view `[n, channels, height, width]`; None where that is not what it is."""
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4 and x.shape[1] in (1, 3):
        return x
    return x.transpose(0, 3, 1, 2) if x.ndim == 4 and x.shape[3] in (1, 3) else None


def _class_ids(arrays: Arrays, path: Path) -> tuple[tuple[np.ndarray, ...], tuple[str, ...]]:
    """Ids for every split, and the name behind each."""
    if not arrays.labels:
        return (), ()
    labels = np.concatenate([_whole(part, path) for part in arrays.labels])
    names, ids = np.unique(labels, return_inverse=True)
    if len(names) > min(MANY_CLASSES, len(labels) // 2):
        raise DanluError(f"{path}: {len(names)} different labels are too many to be classes.")
    ids = ids.astype(np.int64)
    cuts = np.cumsum([len(part) for part in arrays.labels])[:-1]
    return tuple(np.split(ids, cuts)), tuple(map(str, names))


def _whole(labels: np.ndarray, path: Path) -> np.ndarray:
    """Labels that can be class ids: whole numbers, or words."""
    if labels.dtype.kind in "buiUS":
        return labels
    if labels.dtype.kind != "f":
        raise DanluError(f"{path}: labels must be whole numbers or words, got {labels.dtype}.")
    if not np.isfinite(labels).all():
        raise DanluError(f"{path}: some labels are infinite or missing; give each a class.")
    if (labels != np.rint(labels)).any() or (np.abs(labels) >= LARGEST).any():
        raise DanluError(f"{path}: labels must be class ids, not fractions or huge numbers.")
    return labels.astype(np.int64)
