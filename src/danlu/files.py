"""Files that people keep: whole or absent. All that the library writes is written here.

A file is written beside its name, synced and renamed: what was there before stays until its
successor is complete, and nothing cut short ever bears the name. A disk that is full, over its
quota or failing is a `StorageError`, whichever library was writing.
"""

import errno
import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from danlu.contracts import StorageError

TEMPORARY, ASIDE = ".writing-", ".old-"
NO_MORE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)
"""What a disk answers that takes no more: full, over quota, failing, file too large."""
_OF_RUST = re.compile(r"\(os error (\d+)\)")


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Replace a file in one step."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one step; what is no character of Unicode becomes a question mark."""
    write_bytes(path, text.encode("utf-8", errors="replace"))


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file in one step; numbers that are not finite become null."""
    write_text(path, json_text(value, indent=1) + "\n")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace an .npz file in one step."""
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getbuffer())


def append_text(path: Path, text: str) -> None:
    """Add to a diary; readers of one leave out a last line that was cut off."""
    with telling(path), path.open("a", encoding="utf-8") as file:
        file.write(text)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON as every reader knows it: it has no infinity, so what is not finite becomes null."""
    return json.dumps(finite(value), indent=indent, default=str, allow_nan=False)


def finite(value: Any) -> Any:
    """Plain data in which numbers that are not finite are None."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name to write to; the file appears under its own name when it is complete.

    Raises:
        StorageError: the disk takes no more; what was there before is unchanged.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    with telling(path):
        try:
            yield temporary
            sync(temporary)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)


@contextmanager
def patient_file(path: Path) -> Iterator["Patient"]:
    """A new file for writers that end the program, or say nothing, when a write fails."""
    with path.open("wb", buffering=0) as file:
        patient = Patient(file)
        yield patient
        if patient.error is not None:
            raise patient.error


class Patient(BytesIO):
    """Keeps the first error of a file to itself, and lets the writer come to its end."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._file = file

    def write(self, content: Any) -> int:
        """Pass it on, as long as all goes well; the writer is told that it does."""
        left = memoryview(content).cast("B")
        size = len(left)
        while len(left) and self.error is None:
            try:
                left = left[self._file.write(left) :]
            except OSError as error:
                self.error = error
        return size


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill; it appears under its own name when it is complete.

    A folder that has the name already is set aside, never removed before its successor is there:
    after a kill in between, `bring_back` returns it.

    Raises:
        StorageError: the disk takes no more; what was there before is unchanged.
    """
    temporary = path.with_name(TEMPORARY + path.name)
    with telling(path):
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            yield temporary
            for file in temporary.iterdir():
                sync(file)
            sync(temporary)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        aside = path.with_name(ASIDE + path.name)
        if path.exists():
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)
        temporary.rename(path)
        sync(path.parent)
        shutil.rmtree(aside, ignore_errors=True)


def bring_back(home: Path) -> None:
    """Folders set aside get their names back, unless their successors are there."""
    for aside in home.glob(ASIDE + "*"):
        path = home / aside.name.removeprefix(ASIDE)
        if path.exists():
            shutil.rmtree(aside)
        else:
            aside.rename(path)


def clear_leftovers(home: Path) -> None:
    """Remove what a kill left half-written; call this only where nobody else writes."""
    for leftover in home.glob(TEMPORARY + "*"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """One clear error where the disk takes no more, whichever library found out.

    Raises:
        StorageError: it takes no more.
    """
    try:
        yield
    except Exception as error:
        number = _number(error)
        if number not in NO_MORE:
            raise
        raise StorageError(
            f"{path}: {os.strerror(number)}; what was there before is unchanged. "
            "Make room and try again."
        ) from error


def _number(error: BaseException | None) -> int:
    """The system's number of what went wrong, from the error or what caused it; 0 without one."""
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            return error.errno
        if found := _OF_RUST.search(str(error)):
            return int(found[1])
        error = error.__cause__ or error.__context__
    return 0


def sync(path: Path) -> None:
    """Wait until a file's or a folder's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
