"""A folder of images, searched recursively, cropped and resized to one square size.

A folder of grey pictures has 1 channel, any colour makes it 3. With `label="folder"` the class
of an image is the folder below the root that holds it. A file that is no readable image is left
out and listed with the reason. Splits: by a hash of the relative path, a tenth (at most 10,000)
each for validation and test, stratified by class.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from danlu.contracts import DanluError, DataDescription
from danlu.data.decoding import Pixels, decode
from danlu.data.notices import cautions
from danlu.data.source import Examples, Source
from danlu.data.splits import SMALLEST, held_out, split

DEFAULT_SIZE = 32
SIZES = range(8, 1025)
LISTED = 20
"""So many skipped files are listed in the notices; `Source.skipped` has all."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a folder holds: images by their relative path, and what was skipped and why."""

    pixels: dict[str, Pixels]
    skipped: tuple[str, ...]
    enlarged: int


def folder_source(folder: Path, *, size: int | None = None, label: str = "none") -> Source:
    """The images of a folder as a source.

    Raises:
        DanluError: too few images, a size out of range, no subfolders to tell classes by, or not
            enough memory.
    """
    notices = []
    if size is None:
        size = DEFAULT_SIZE
        notices.append(f"Images are resized to {size} x {size}; --size chooses another size.")
    elif size not in SIZES:
        raise DanluError(f"--size goes from {SIZES[0]} to {SIZES[-1]}, got {size}.")
    decoded = _decode_all(folder, size)
    pixels, skipped = decoded.pixels, decoded.skipped
    if label == "folder":
        outside = [name for name in pixels if "/" not in name]
        pixels = {name: value for name, value in pixels.items() if "/" in name}
        skipped += tuple(f"{name}: in no subfolder, hence without a class" for name in outside)
    notices += _losses(decoded, skipped, len(pixels) + len(skipped))
    if len(pixels) < SMALLEST:
        raise DanluError(
            f"{folder} holds {len(pixels) or 'no'} usable images; at least {SMALLEST} are needed."
            + (f" Skipped: {'; '.join(skipped[:3])}." if skipped else "")
        )
    names = sorted(pixels)
    labels, class_names = _classes(names, folder) if label == "folder" else (None, ())
    subfolders = {name.split("/")[0] for name in names if "/" in name}
    if label == "none" and len(subfolders) > 1:
        notices.append(f"{len(subfolders)} subfolders: --label folder makes them classes.")
    return _source(folder, pixels, labels, class_names, tuple(notices), skipped)


def _source(
    folder: Path,
    pixels: dict[str, Pixels],
    labels: np.ndarray | None,
    class_names: tuple[str, ...],
    notices: tuple[str, ...],
    skipped: tuple[str, ...],
) -> Source:
    names = sorted(pixels)
    channels = 3 if any(picture.ndim == 3 for picture in pixels.values()) else 1
    shape = (channels, *pixels[names[0]].shape[:2])
    description = DataDescription(
        shape=shape, levels=256, low=-1.0, high=1.0, classes=len(class_names)
    )
    held = held_out(len(names))
    training, validation, test = (
        Examples(
            _stack([pixels[names[i]] for i in part], shape),
            None if labels is None else torch.from_numpy(labels[part]),
            description,
        )
        for part in split(names, labels, validation=held, test=held)
    )
    return Source(
        name=folder.resolve().name,
        description=description,
        class_names=class_names,
        training=training,
        validation=validation,
        test=test,
        notices=(*notices, *cautions(description, len(training), held)),
        skipped=skipped,
    )


def _decode_all(folder: Path, size: int) -> Decoded:
    files = sorted(_files(folder))
    _check_memory(len(files), size)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(partial(decode, size=size), (folder / name for name in files)))
    found = {name: r for name, r in zip(files, results, strict=True) if not isinstance(r, str)}
    reasons = (f"{n}: {r}" for n, r in zip(files, results, strict=True) if isinstance(r, str))
    enlarged = sum(is_enlarged for _, is_enlarged in found.values())
    return Decoded({name: value for name, (value, _) in found.items()}, tuple(reasons), enlarged)


def _files(folder: Path) -> Iterator[str]:
    """Paths below a folder with forward slashes; follows links, but enters no folder twice."""
    entered = set()
    for parent, subfolders, names in os.walk(folder, followlinks=True):
        entered.add(os.path.realpath(parent))
        subfolders[:] = [
            sub for sub in subfolders if os.path.realpath(Path(parent, sub)) not in entered
        ]
        yield from (Path(parent, name).relative_to(folder).as_posix() for name in names)


def _losses(decoded: Decoded, skipped: tuple[str, ...], files: int) -> list[str]:
    lines = []
    if skipped:
        lines.append(f"Skipped {len(skipped)} of {files} files:")
        lines += [f"  {line}" for line in skipped[:LISTED]]
        if len(skipped) > LISTED:
            lines.append(f"  and {len(skipped) - LISTED} more.")
    if decoded.enlarged:
        lines.append(f"{decoded.enlarged} images were smaller than the chosen size and enlarged.")
    return lines


def _classes(names: list[str], folder: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    of = [name.split("/")[0] for name in names]
    class_names, labels = np.unique(of, return_inverse=True)
    if len(class_names) < 2:
        raise DanluError(f"--label folder needs at least two subfolders with images in {folder}.")
    return labels.astype(np.int64), tuple(map(str, class_names))


def _stack(pixels: list[Pixels], shape: tuple[int, ...]) -> torch.Tensor:
    """`[n, channels, size, size]`; grey pictures fill all channels."""
    values = np.empty((len(pixels), *shape), dtype=np.uint8)
    for row, picture in zip(values, pixels, strict=True):
        row[:] = picture if picture.ndim == 2 else picture.transpose(2, 0, 1)
    return torch.from_numpy(values)


def _check_memory(files: int, size: int) -> None:
    # Twice: the decoded pictures and their copy as splits; three channels at worst.
    needed = 2 * files * 3 * size * size
    available = _available_memory()
    if needed > 0.8 * available:
        raise DanluError(
            f"{files:,} images at {size} x {size} may take {needed / 1e9:.1f} GB of memory, "
            f"{available / 1e9:.1f} GB are free: choose a smaller --size or fewer images."
        )


def _available_memory() -> int:
    """Bytes that can be taken without swapping; half of the machine's where it does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
