"""The images of a folder, decoded once into a file that every process maps.

The file is kept in `$DANLU_CACHE/pictures`, by a hash of the names, sizes and times of all files
and of how they are decoded. So further processes, later runs and evaluations of the same folder
decode nothing, and hold no copy: the pages of a mapped file belong to all. It is written under a
temporary name and renamed; one whose bytes have another hash is made anew, and what was not used
for 30 days is removed. Where it would take more than half of the disk's room, or nothing can be
kept, an image is decoded whenever it is wanted, and a few are remembered.
"""

import hashlib
import json
import math
import os
import shutil
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch

from danlu.contracts import DanluError
from danlu.data.decoding import SIXTEEN_BITS, Pixels, decode, deepest, white_of
from danlu.data.readable import Rows, Stored
from danlu.files import whole_file, write_json
from danlu.reading import found_below, require_memory
from danlu.reading.kept import cache_folder

VERSION = 1  # raise it with any change of decoding: it is part of the key
FACTS = ".json"
UNUSED = 30 * 86_400.0
ROOM = 0.5
"""Of the free space of the disk that decoded images may take."""
REMEMBERED = 1 << 28
"""Bytes of images that are remembered where none are kept."""
INDEX = 1_000
"""Bytes of memory for a file: its name, its times, and its places in the splits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What is known of decoded images.

    Attributes:
        names: relative path of each.
        channels: 1 where all are grey, else 3.
        size: side of the square.
        skipped: files that were left out, `path: reason`.
        hidden: how many hidden and system files and folders were not looked into.
        folders: all folders below the root.
        enlarged: how many were smaller than the square.
        several: how many files hold further pictures.
        white: largest level of files of more than 8 bits; 0 where there are none.
        digest: of the bytes.
        kept: whether they are decoded once for all.
    """

    names: tuple[str, ...]
    channels: int
    size: int
    skipped: tuple[str, ...]
    hidden: int
    folders: tuple[str, ...]
    enlarged: int = 0
    several: int = 0
    white: int = 0
    digest: str = ""
    kept: bool = True

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of all images."""
        return len(self.names), self.channels, self.size, self.size


@dataclass(frozen=True, slots=True)
class Pictures:
    """Images and what is known of them."""

    pixels: Stored
    facts: Facts


def pictures_of(folder: Path, size: int) -> Pictures:
    """All images below a folder.

    Raises:
        DanluError: the memory will not do.
    """
    found = found_below(folder)
    paths = [folder / name for name in found.files]
    require_memory(
        INDEX * len(paths) + REMEMBERED,
        f"The index of {len(paths):,} files in {folder}",
        instead="give fewer files at once",
    )
    marks = [(path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    recipe = (VERSION, PIL.__version__, size, os.path.realpath(folder), found, marks)
    path = cache_folder() / "pictures" / f"{hashlib.sha256(repr(recipe).encode()).hexdigest()}.raw"
    known = _recalled(path)
    if known is not None:
        return known
    facts = Facts(
        names=(), channels=3, size=size, skipped=found.skipped, hidden=len(found.hidden),
        folders=found.folders,
    )  # fmt: skip
    return _kept(path, folder, found.files, facts)


def _recalled(path: Path) -> Pictures | None:
    """What was kept, if it is whole."""
    try:
        raw: dict[str, Any] = json.loads(path.with_suffix(FACTS).read_text(encoding="utf-8"))
        lists: dict[str, Any] = {k: tuple(v) for k, v in raw.items() if isinstance(v, list)}
        facts = Facts(**{**raw, **lists})
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != facts.digest:
            return None
        os.utime(path)  # it was used
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return _mapped(path, facts)


def _mapped(path: Path, facts: Facts) -> Pictures:
    # Not shared: what somebody writes stays in his process and never reaches the file.
    count = math.prod(facts.shape)
    flat = torch.from_file(str(path), shared=False, size=count, dtype=torch.uint8)
    return Pictures(flat.view(facts.shape), facts)


def _kept(path: Path, folder: Path, files: Sequence[str], facts: Facts) -> Pictures:
    """Decode into a file that is kept, or only look at the images where none can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_unused(path.parent)
        if 3 * len(files) * facts.size**2 > ROOM * shutil.disk_usage(path.parent).free:
            return _unkept(folder, files, facts)
        with whole_file(path) as temporary, temporary.open("w+b") as file:
            facts = _decoded(folder, files, facts, file)
            file.seek(0)
            facts = replace(facts, digest=hashlib.file_digest(file, "sha256").hexdigest())
        if facts.names:
            write_json(path.with_suffix(FACTS), asdict(facts))
            return _mapped(path, facts)
        path.unlink()
    except OSError:  # nothing is lost: the images are made again from their files
        return _unkept(folder, files, facts)
    return Pictures(torch.empty(facts.shape, dtype=torch.uint8), facts)


def _unkept(folder: Path, files: Sequence[str], facts: Facts) -> Pictures:
    with open(os.devnull, "w+b") as nowhere:
        facts = _decoded(folder, files, facts, nowhere)
    return Pictures(Undecoded(folder, facts), replace(facts, kept=False))


class Undecoded:
    """Images that are decoded when they are wanted; the last ones are remembered.

    Args:
        folder: that holds them.
        facts: of all of them.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, folder: Path, facts: Facts) -> None:
        self.folder, self.facts, self.shape = folder, facts, facts.shape
        self.most = max(1, REMEMBERED // math.prod(facts.shape[1:]))
        self._known: OrderedDict[int, np.ndarray] = OrderedDict()

    def __len__(self) -> int:
        return len(self.facts.names)

    def __getitem__(self, rows: Rows) -> np.ndarray:
        places = np.arange(len(self))[rows].tolist()
        missing = [place for place in dict.fromkeys(places) if place not in self._known]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            made = dict(zip(missing, pool.map(self._made, missing), strict=True))
        found = np.empty((len(places), *self.shape[1:]), np.uint8)
        for row, place in enumerate(places):
            found[row] = made[place] if place in made else self._known[place]
        self._known.update(made)
        while len(self._known) > self.most:
            self._known.popitem(last=False)
        return found

    def _made(self, place: int) -> np.ndarray:
        path = self.folder / self.facts.names[place]
        found = decode(path, self.facts.size, white=self.facts.white or SIXTEEN_BITS)
        if isinstance(found, str):
            raise DanluError(f"{path} was an image when this began: {found}.")
        return _planes(found.pixels)


def _remove_unused(folder: Path) -> None:
    for path in [*folder.glob("*.raw"), *folder.glob(".writing-*")]:
        if time.time() - path.stat().st_mtime > UNUSED:
            path.with_suffix(FACTS).unlink(missing_ok=True)
            path.unlink(missing_ok=True)


def _decoded(folder: Path, files: Sequence[str], facts: Facts, file: BufferedIOBase) -> Facts:
    """Decode every file, write its pixels, and count what there is to say."""
    paths = [folder / name for name in files]
    writer = _Writer(file, facts.size)
    names: list[str] = []
    skipped = list(facts.skipped)
    enlarged = several = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        levels = (level for level in pool.map(deepest, paths) if level <= SIXTEEN_BITS)
        largest = max(levels, default=0)
        white = white_of(largest) if largest else SIXTEEN_BITS
        each = partial(decode, size=facts.size, white=white)
        for name, found in zip(files, pool.map(each, paths), strict=True):
            if isinstance(found, str):
                skipped.append(f"{name}: {found}")
                continue
            writer.add(found.pixels)
            names.append(name)
            enlarged, several = enlarged + found.enlarged, several + found.several
    return replace(
        facts,
        names=tuple(names),
        channels=writer.channels,
        skipped=tuple(sorted(skipped)),
        enlarged=enlarged,
        several=several,
        white=white if largest else 0,
    )


def _planes(pixels: Pixels) -> np.ndarray:
    """`[channels, size, size]`."""
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


class _Writer:
    """Images one after the other, in one channel until the first one with colour."""

    def __init__(self, file: BufferedIOBase, size: int) -> None:
        self.file, self.size, self.channels, self.count = file, size, 1, 0

    def add(self, pixels: Pixels) -> None:
        if pixels.ndim == 3 and self.channels == 1:
            self._widen()
        planes = _planes(pixels)
        self.file.write(np.broadcast_to(planes, (self.channels, *planes.shape[1:])).tobytes())
        self.count += 1

    def _widen(self) -> None:
        """Give every grey image three channels, from the last to the first, in place."""
        plane = self.size**2
        for index in reversed(range(self.count)):
            self.file.seek(index * plane)
            row = self.file.read(plane)
            self.file.seek(3 * index * plane)
            self.file.write(3 * row)
        self.file.seek(0, os.SEEK_END)
        self.channels = 3
