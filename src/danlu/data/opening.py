"""Find data by name or by path."""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch

from danlu.contracts import DanluError, unknown
from danlu.data.arrays import array_source
from danlu.data.folder import folder_source
from danlu.data.idx import find_parts, idx_source
from danlu.data.leaks import without_leaks
from danlu.data.notices import counted_classes
from danlu.data.source import LARGE, Source
from danlu.data.tables import SUFFIXES
from danlu.reading import available_memory, require_file
from danlu.reading.room import SHARE

LABELS = ("none", "folder", "captions")
ARRAYS = (".npz", ".npy", *SUFFIXES)


def open_source(name_or_path: str, *, size: int | None = None, label: str = "none") -> Source:
    """A named set, a folder of images or of four IDX files, an `.npz` or `.npy` file, or a table.

    Named sets are as they were published. Of others, copies of held-out examples are kept out of
    the other splits, and the classes are counted in the notices.

    Args:
        name_or_path: a name in `SOURCES`, or a path; write `./digits` for a folder of that name.
        size: side of the images of a folder; 32 when absent.
        label: "folder" makes the subfolders of a folder of images its classes; with "captions"
            images and examples of a file are told a text.

    Raises:
        DanluError: it is not there, or not usable; one line says what to do.
    """
    if label not in LABELS:
        raise unknown("label rule", label, LABELS)
    from danlu.data import SOURCES  # the room's table stands above this module

    path = Path(os.path.expanduser(name_or_path))  # leaves the `~` of a user who is not here
    named = SOURCES.get(name_or_path)
    parts = find_parts(path)
    if named is None and parts is None and path.is_dir():
        return _own(folder_source(path, size=size, label=label))
    if named is None and not path.exists():
        raise _missing(name_or_path, SOURCES)
    asked = "captions" if path.suffix in ARRAYS and named is None else "none"
    if size is not None or label not in ("none", asked):
        raise DanluError(f"--size and --label are for folders of images, not for {name_or_path}.")
    if named is not None:
        return named.build()
    if parts is not None:
        return _own(idx_source(parts, path.resolve().name))
    require_file(path)
    if path.suffix in ARRAYS:
        return _own(array_source(path, label=label))
    raise DanluError(
        f"{path} is neither a folder nor one of {', '.join(ARRAYS)}; give the "
        "folder that holds the images. "
        f"Text is learned by `danlu train lm {path}`."
    )


def _own(source: Source) -> Source:
    """What is done with, and said of, data that nobody has published."""
    source = _measurable(without_leaks(source))
    ids = [split.ids for split in (source.training, source.validation, source.test)]
    known = [part for part in ids if part is not None]
    if not known:
        return source
    counts = torch.bincount(torch.cat(known), minlength=source.description.classes).tolist()
    return replace(source, notices=(counted_classes(source.class_names, counts), *source.notices))


def _measurable(source: Source) -> Source:
    """A notice where held-out examples, all at once, are more than the memory."""
    whole = max(source.validation.whole, source.test.whole)
    if whole <= LARGE or whole <= SHARE * available_memory():
        return source
    line = (
        f"It can be trained on, but not measured: {whole / 1e9:,.1f} GB of held-out examples are "
        "more than the memory. Choose a smaller --size to measure."
    )
    return replace(source, notices=(line, *source.notices))


def _missing(given: str, names: Iterable[str]) -> DanluError:
    if "/" in given or Path(given).suffix:
        return DanluError(f"There is no file or folder {given}.")
    return DanluError(f"{unknown('data set', given, names)} No folder here has that name either.")
