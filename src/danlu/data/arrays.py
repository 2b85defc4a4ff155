"""Arrays in an `.npz` file: images or vectors, with or without class ids.

The examples stand under `x`, `images`, `train`, `x_train`, `data` or `arr_0`; class ids, if any,
under `labels`, `y`, `y_train`, `train_labels` or `targets`; a test split of its own under `test`
or `x_test` with `test_labels` or `y_test`. Images are `[n, height, width]` with a channel axis
anywhere but first, in 8 or 16 bits or floats; vectors are `[n, features]` and keep their
coordinates. Integer labels of any value become ids in their order. Splits without a given test:
by a hash of the index, a tenth (at most 10,000) each, stratified. Pickled objects are refused.
"""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from danlu.contracts import DanluError, DataDescription
from danlu.data.notices import cautions
from danlu.data.scales import Scaled, scale_images, scale_vectors
from danlu.data.source import Examples, Source
from danlu.data.splits import SMALLEST, held_out, split

EXAMPLES = ("x", "images", "train", "x_train", "data", "arr_0")
LABELS = ("labels", "y", "y_train", "train_labels", "targets")
TEST_EXAMPLES = ("test", "x_test", "test_images")
TEST_LABELS = ("test_labels", "y_test")
MANY_CLASSES = 1_000


@dataclass(frozen=True, slots=True)
class Arrays:
    """Examples and labels of a file; the last `test` of them are its own test split."""

    x: np.ndarray
    labels: np.ndarray | None
    test: int


def npz_source(path: Path) -> Source:
    """The arrays of an `.npz` file as a source.

    Raises:
        DanluError: no archive of plain arrays, no known key, or shapes that do not fit.
    """
    arrays = _read(path)
    scaled = _scale(arrays.x, path)
    ids, class_names = _class_ids(arrays, path)
    description = DataDescription(
        shape=tuple(scaled.values.shape[1:]),
        levels=scaled.levels,
        low=scaled.low,
        high=scaled.high,
        classes=len(class_names),
    )
    values = torch.from_numpy(np.ascontiguousarray(scaled.values))
    condition = None if ids is None else torch.from_numpy(ids)
    training, validation, test = (
        Examples(values[part], None if condition is None else condition[part], description)
        for part in _split(arrays, ids)
    )
    notices = (*scaled.notices, *cautions(description, len(training), len(test)))
    return Source(
        name=path.stem,
        description=description,
        class_names=class_names,
        training=training,
        validation=validation,
        test=test,
        notices=notices,
    )


def _read(path: Path) -> Arrays:
    if not zipfile.is_zipfile(path):
        raise DanluError(f"{path} is no .npz archive; write one with numpy.savez(path, x=array).")
    try:
        with np.load(path, allow_pickle=False) as archive:
            keys = list(archive.keys())
            x, labels = _pick(archive, EXAMPLES), _pick(archive, LABELS)
            test, test_labels = _pick(archive, TEST_EXAMPLES), _pick(archive, TEST_LABELS)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DanluError(f"{path} does not hold plain, undamaged arrays: {error}") from error
    if x is None:
        raise DanluError(
            f"{path} holds {', '.join(keys) or 'nothing'}; name the examples `x` or `images` "
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
        return Arrays(x, labels, 0)
    return _with_test(path, (x, labels), (test, test_labels))


def _with_test(
    path: Path,
    training: tuple[np.ndarray, np.ndarray | None],
    test: tuple[np.ndarray, np.ndarray | None],
) -> Arrays:
    """Both splits in one, the test examples last."""
    (x, labels), (test_x, test_labels) = training, test
    fits = (labels is None) == (test_labels is None) and len(test_x) > 0
    if test_labels is not None:
        fits &= test_labels.shape == (len(test_x),)
    if not fits or x.shape[1:] != test_x.shape[1:]:
        raise DanluError(f"{path}: the test arrays do not fit the training arrays.")
    merged = None
    if labels is not None and test_labels is not None:
        merged = np.concatenate((labels, test_labels))
    return Arrays(np.concatenate((x, test_x)), merged, len(test_x))


def _pick(archive: np.lib.npyio.NpzFile, names: tuple[str, ...]) -> np.ndarray | None:
    return next((np.atleast_1d(archive[name]) for name in names if name in archive), None)


def _scale(x: np.ndarray, path: Path) -> Scaled:
    """Images or vectors by the number of axes, on the scale that models see."""
    if x.dtype.kind not in "buif":
        raise DanluError(f"{path}: examples must be numbers, got {x.dtype}.")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise DanluError(f"{path}: examples hold infinite or missing values; remove them.")
    if x.ndim == 2 and x.shape[1] > 0:
        return scale_vectors(x)
    if x.ndim == 3:
        x = x[:, None]
    channels_first = x.ndim == 4 and x.shape[1] in (1, 3)
    if not channels_first and x.ndim == 4 and x.shape[3] in (1, 3):
        x, channels_first = x.transpose(0, 3, 1, 2), True
    if not channels_first or 0 in x.shape:
        raise DanluError(
            f"{path}: examples of shape {x.shape} are neither vectors [n, features] nor images "
            "[n, height, width] with 1 or 3 channels."
        )
    return scale_images(x)


def _class_ids(arrays: Arrays, path: Path) -> tuple[np.ndarray | None, tuple[str, ...]]:
    labels = arrays.labels
    if labels is None:
        return None, ()
    if labels.dtype.kind == "f" and not (labels == np.rint(labels)).all():
        raise DanluError(f"{path}: labels must be class ids, not fractions.")
    if labels.dtype.kind == "f":
        labels = labels.astype(np.int64)
    names, ids = np.unique(labels, return_inverse=True)
    if len(names) > min(MANY_CLASSES, len(labels) // 2):
        raise DanluError(f"{path}: {len(names)} different labels are too many to be classes.")
    return ids.astype(np.int64), tuple(map(str, names))


def _split(arrays: Arrays, ids: np.ndarray | None) -> tuple[np.ndarray, ...]:
    n = len(arrays.x) - arrays.test
    labels = None if ids is None else ids[:n]
    if not arrays.test:
        return split(range(n), labels, validation=held_out(n), test=held_out(n))
    training, validation, _ = split(range(n), labels, validation=held_out(n), test=0)
    return training, validation, np.arange(n, n + arrays.test)
