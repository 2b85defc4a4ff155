"""Image sets in the IDX format of MNIST, plain or gzipped; Fashion-MNIST by name.

A file starts with two zero bytes, the type of its numbers, the count of axes and one big-endian
32-bit size for each axis; the numbers follow. A set is four files, `train-images`, `train-labels`,
`t10k-images` and `t10k-labels`. Splits: the last sixth of every class of the training file, in
file order, is the validation split; the `t10k` files are the test split. For Fashion-MNIST this
gives 50,000, 10,000 and 10,000 images with equal classes.

Sources: yann.lecun.com/exdb/mnist (format); arXiv:1708.07747 (Fashion-MNIST).
"""

import math
import os
import struct
from pathlib import Path

import numpy as np
import torch

from danlu.contracts import Classes, DanluError, DataDescription, DataKind
from danlu.data.notices import MANY_CLASSES, cautions
from danlu.data.source import Examples, Source
from danlu.data.splits import SMALLEST
from danlu.data.stored import MAPPED_FROM
from danlu.reading import is_packed, read_bytes, require_file

FASHION_CLASSES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
PARTS = ("train-images", "train-labels", "t10k-images", "t10k-labels")
AXES = {"images": 3, "labels": 1}
LEAST = {"train": SMALLEST, "t10k": 1}
COPIES = 2
"""Bytes of memory for a byte of a packed file: it, and its array."""
TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: Path) -> np.ndarray:
    """The array in an IDX file, gzipped or plain.

    Raises:
        DanluError: the file is damaged or no IDX file.
    """
    size = require_file(path)
    mapped = size >= MAPPED_FROM and not is_packed(path)
    # "c": what is written stays in this process and never reaches the file.
    content = np.memmap(path, np.uint8, "c") if mapped else read_bytes(path, copies=COPIES)
    head = content.data if isinstance(content, np.ndarray) else content
    try:
        zero, kind, axes = struct.unpack_from(">HBB", head)
        if zero or kind not in TYPES:
            raise ValueError("it does not start with two zero bytes and a known type")
        shape = struct.unpack_from(f">{axes}I", head, 4)
        dtype = np.dtype(TYPES[kind])
        size, start = math.prod(shape) * dtype.itemsize, 4 + 4 * axes
        if len(content) - start != size:
            raise DanluError(
                f"{path} is damaged: {len(content) - start:,} bytes of numbers instead of {size:,}."
            )
        if isinstance(content, np.ndarray):
            return content[start:].view(dtype).reshape(shape)
        flat = (
            np.frombuffer(bytearray(content), dtype, offset=start) if size else np.empty(0, dtype)
        )
        return flat.reshape(shape)
    except DanluError:
        raise
    except (struct.error, ValueError) as error:
        raise DanluError(f"{path} is not a readable IDX file: {error}") from error


def find_parts(folder: Path) -> dict[str, Path] | None:
    """The four files of a set in a folder, or None when one is missing."""
    found = {}
    for part in PARTS:
        axes = AXES[part.split("-")[1]]
        names = [f"{part}{dot}idx{axes}-ubyte{end}" for dot in "-." for end in ("", ".gz")]
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            return None
        found[part] = path
    return found


def idx_source(
    parts: dict[str, Path], name: str, class_names: tuple[str, ...] | None = None
) -> Source:
    """A source from the four files of a set."""
    images, labels, test_images, test_labels = (read_idx(parts[part]) for part in PARTS)
    for part, array, ids in (("train", images, labels), ("t10k", test_images, test_labels)):
        if array.dtype != np.uint8 or array.ndim != 3 or ids.shape != array.shape[:1]:
            raise DanluError(
                f"The {part} files of {name} do not fit: {array.dtype} images of shape "
                f"{array.shape}, labels of shape {ids.shape}."
            )
        if array.size == 0 or len(array) < LEAST[part]:
            raise DanluError(
                f"The {part} files of {name} hold {len(array)} images of {array.shape[1]} x "
                f"{array.shape[2]} pixels; at least {LEAST[part]} are needed."
            )
        if ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= MANY_CLASSES:
            raise DanluError(
                f"The {part} labels of {name} go from {ids.min()} to {ids.max()} ({ids.dtype}); "
                f"class ids are whole numbers from 0 to {MANY_CLASSES - 1}."
            )
    if images.shape[1:] != test_images.shape[1:]:
        raise DanluError(f"The train and t10k images of {name} differ in size.")
    classes = int(max(labels.max(), test_labels.max())) + 1
    description = DataDescription(
        kind=DataKind.IMAGE,
        shape=(1, *images.shape[1:]),
        levels=256,
        low=-1.0,
        high=1.0,
        condition=Classes(classes),
    )
    last = _last_sixth(labels)
    return Source(
        name=name,
        description=description,
        class_names=class_names or tuple(map(str, range(classes))),
        training=_examples(images, labels, description, ~last),
        validation=_examples(images, labels, description, last),
        test=_examples(test_images, test_labels, description),
        notices=tuple(cautions(description, int((~last).sum()), len(test_images))),
    )


def fashion_mnist() -> Source:
    """Fashion-MNIST from `$DANLU_DATA/fashion-mnist` or its Debian package.

    Raises:
        DanluError: neither holds the four files; the message names the package.
    """
    chosen = os.environ.get("DANLU_DATA")
    folders = [Path(chosen) / "fashion-mnist"] if chosen else []
    for folder in [*folders, DEBIAN]:
        parts = find_parts(folder)
        if parts is not None:
            return idx_source(parts, "fashion-mnist", FASHION_CLASSES)
    raise DanluError(
        "fashion-mnist is not on this machine: `apt-get install dataset-fashion-mnist`, or put "
        "its four IDX files into $DANLU_DATA/fashion-mnist."
    )


def _last_sixth(labels: np.ndarray) -> np.ndarray:
    """Mask of the last sixth of every class, in file order."""
    last = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        last[members[len(members) - len(members) // 6 :]] = True
    if not last.any():  # no class has six members
        last[-1] = True
    return last


def _examples(
    images: np.ndarray,
    labels: np.ndarray,
    description: DataDescription,
    chosen: np.ndarray | None = None,
) -> Examples:
    """All examples of a file, or those of a mask; splits share the images."""
    values, ids = torch.from_numpy(images).unsqueeze(1), labels.astype(np.int64)
    if chosen is None:
        return Examples(values, torch.from_numpy(ids), description)
    rows = torch.from_numpy(np.flatnonzero(chosen))
    return Examples(values, torch.from_numpy(ids[chosen]), description, rows)
