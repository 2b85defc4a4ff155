"""Arrays in a file, `.npz` or `.npy`, CSV or Parquet: images or vectors, and what they are told.

The examples stand under `x`, `images`, `train`, `x_train`, `data` or `arr_0`; class ids, if any,
under `labels`, `y`, `y_train`, `train_labels` or `targets`; a test split of its own under `test`
or `x_test` with `test_labels` or `y_test`. Images are `[n, height, width]` with a channel axis
anywhere but first, in 8 or 16 bits or floats; vectors are `[n, features]` and keep their
coordinates. Labels are whole numbers or words; their values become ids in their order. In place of
labels examples may have vectors, `[n, features]` under `condition`, or texts under `captions`; with
a test split of their own also `test_condition` and `test_captions`. A number of axes means what it
says here in files alone: from here on the description tells images from vectors. Splits without a
given test: by a hash of the index, a tenth (at most 10,000) each, stratified.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from danlu.contracts import Condition, DanluError, DataDescription
from danlu.data import told
from danlu.data.notices import cautions
from danlu.data.readable import Converted, Stored
from danlu.data.scales import Scaled, require_finite, scale_images, scale_vectors
from danlu.data.source import Examples, Source
from danlu.data.splits import SMALLEST, held_out, split
from danlu.data.stored import InFile, stored_arrays
from danlu.data.tables import SUFFIXES, table_arrays

EXAMPLES = ("x", "images", "train", "x_train", "data", "arr_0")
LABELS = ("labels", "y", "y_train", "train_labels", "targets")
TEST_EXAMPLES = ("test", "x_test", "test_images")
TOLD = {
    told.LABELS: (LABELS, ("test_labels", "y_test")),
    told.VECTORS: (("condition", "conditions"), ("test_condition",)),
    told.CAPTIONS: (("captions", "texts", "text"), ("test_captions",)),
}
"""What examples may be told, and its names beside those of training and of test."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """Examples and what they are told: of training, and of a test split where there is one."""

    x: told.Parts
    told: Mapping[str, told.Parts]


def array_source(path: Path, *, label: str = "none") -> Source:
    """The arrays of an `.npz` or `.npy` file, or of a table, as a source.

    Raises:
        DanluError: no file of plain arrays, no known key, shapes that do not fit, or more than
            the memory holds.
    """
    arrays = _read(path)
    scaled = _scale(arrays.x, path)
    known = told.told_by(arrays.told, label, tuple(map(len, arrays.x)), path)
    description = DataDescription(
        kind=scaled.kind,
        shape=tuple(scaled.parts[0].shape[1:]),
        levels=scaled.levels,
        low=scaled.low,
        high=scaled.high,
        condition=known.kind,
    )
    stored = [p if isinstance(p, Converted) else torch.from_numpy(p) for p in scaled.parts]
    first, *of_test = known.parts or (None,)
    n, own_test = len(stored[0]), len(stored) > 1
    ids = None if first is None or first.ids is None else first.ids.numpy()
    *learned, test = split(
        range(n), ids, validation=held_out(n), test=0 if own_test else held_out(n)
    )
    parts = [_examples(stored[0], first, description, rows) for rows in (*learned, test)]
    if own_test:
        parts[2] = _examples(stored[1], next(iter(of_test), None), description, None)
    training, validation, held = parts
    notices = (*scaled.notices, *known.notices, *cautions(description, len(training), len(held)))
    return Source(
        name=path.stem,
        description=description,
        class_names=known.class_names,
        training=training,
        validation=validation,
        test=held,
        notices=notices,
    )


def _examples(
    stored: Stored, of: Condition | None, description: DataDescription, rows: np.ndarray | None
) -> Examples:
    if rows is None:
        return Examples(stored, of, description)
    chosen = torch.from_numpy(rows)
    return Examples(stored, None if of is None else of[chosen], description, chosen)


def _read(path: Path) -> Arrays:
    stored = table_arrays(path) if path.suffix in SUFFIXES else stored_arrays(path)
    x, test = _pick(stored, EXAMPLES), _pick(stored, TEST_EXAMPLES)
    if x is None:
        raise DanluError(
            f"{path} holds {', '.join(stored) or 'nothing'}; name the examples `x` or `images` "
            "and their class ids `labels`."
        )
    if len(x) < SMALLEST:
        raise DanluError(f"{path} holds {len(x)} examples; at least {SMALLEST} are needed.")
    parts = (x,) if test is None else (x, test)
    if x.shape[1:] != parts[-1].shape[1:] or x.dtype.kind != parts[-1].dtype.kind:
        raise DanluError(f"{path}: the test arrays do not fit the training arrays.")
    known: dict[str, told.Parts] = {}
    for kind, names in TOLD.items():
        found = [_pick(stored, of) for of in names[: len(parts)]]
        known[kind] = tuple(part for part in found if part is not None)
        if len(known[kind]) not in (0, len(parts)) or not len(parts[-1]):
            raise DanluError(f"{path}: the test arrays do not fit the training arrays.")
    return Arrays(parts, known)


def _pick(
    stored: Mapping[str, InFile] | Mapping[str, np.ndarray], names: tuple[str, ...]
) -> np.ndarray | None:
    found = next((stored[name] for name in names if name in stored), None)
    return np.atleast_1d(found.load()) if isinstance(found, InFile) else found


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
