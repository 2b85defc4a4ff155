"""Arrays in `.npy` and `.npz` files: their headers are read first, then as little as possible.

What a header promises is compared with the bytes that are there and with the memory before any of
it is read. Large arrays that are stored as they are become mapped files: their pages come and go
with their use, and processes share them. Pickled objects are refused.
"""

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedIOBase
from pathlib import Path
from typing import cast

import numpy as np

from danlu.contracts import DanluError
from danlu.reading import require_file, require_memory

MAPPED_FROM = 1 << 26
"""Arrays of so many bytes are mapped; smaller ones are safe from changes of their file."""
BLOCK = 1 << 24
LOCAL_HEADER = 30
ENCRYPTED = 1
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
DAMAGES = (
    ValueError, OSError, EOFError, OverflowError, RuntimeError, NotImplementedError, struct.error,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError, SyntaxError, TypeError,
    RecursionError,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class InFile:
    """An array that has not been read.

    Attributes:
        path: the file.
        member: its entry in an archive; None where it is the file.
        shape: by its header.
        dtype: by its header.
        columns_first: whether it is in the order of Fortran.
        offset: of the numbers in the file; None where they are packed.
    """

    path: Path
    member: str | None
    shape: tuple[int, ...]
    dtype: np.dtype
    columns_first: bool
    offset: int | None

    @property
    def nbytes(self) -> int:
        """Of the numbers."""
        return math.prod(self.shape) * self.dtype.itemsize

    def load(self) -> np.ndarray:
        """The array: in memory, or mapped where it is large and not packed.

        Raises:
            DanluError: it is damaged, or the memory will not do.
        """
        with _explained(self.path):
            if self.offset is not None and self.nbytes >= MAPPED_FROM:
                self._compare_checksum()
                order = "F" if self.columns_first else "C"
                # "c": what is written stays in this process and never reaches the file.
                return np.memmap(self.path, self.dtype, "c", self.offset, self.shape, order)
            require_memory(self.nbytes, f"{self.path}: an array of shape {self.shape}")
            if self.member is None:
                return np.load(self.path, allow_pickle=False)
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                return np.lib.format.read_array(file, allow_pickle=False)

    def _compare_checksum(self) -> None:
        """The archive's checksum of its entry, which a mapped array would pass by."""
        if self.member is None:
            return
        with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
            while file.read(BLOCK):  # at the end zipfile compares
                pass


def stored_arrays(path: Path) -> dict[str, InFile]:
    """The arrays of a file by name; that of an `.npy` file is called `x`.

    Raises:
        DanluError: it is no such file, is damaged, or holds pickled objects.
    """
    size = require_file(path)
    if path.suffix == ".npy":
        with _explained(path), path.open("rb") as file:
            return {"x": _described(file, path, size)}
    if not zipfile.is_zipfile(path):
        raise DanluError(f"{path} is no .npz archive; write one with numpy.savez(path, x=array).")
    found = {}
    with _explained(path), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".npy"):
                start = _start_of(member, path)
                with archive.open(member) as file:
                    array = _described(
                        cast(BufferedIOBase, file), path, member.file_size, start=start
                    )
                name = member.filename.removesuffix(".npy")
                found[name] = replace(array, member=member.filename)
    return found


def _described(file: BufferedIOBase, path: Path, size: int, *, start: int | None = 0) -> InFile:
    """What a header says, if the file has just as many bytes.

    Args:
        file: where the header begins.
        path: of the file.
        size: bytes of header and numbers.
        start: where the header begins in the file; None where it is packed.
    """
    version = np.lib.format.read_magic(file)  # pyright: ignore[reportArgumentType]
    if version not in HEADERS:
        raise ValueError(f"a header of version {version}")
    shape, columns_first, dtype = HEADERS[version](file)  # pyright: ignore[reportArgumentType]
    if dtype.hasobject:
        raise ValueError("pickled objects, which are never read")
    length = file.tell()
    found = InFile(
        path=path,
        member=None,
        shape=shape,
        dtype=dtype,
        columns_first=columns_first,
        offset=None if start is None else start + length,
    )
    if min(shape, default=0) < 0 or found.nbytes != size - length:
        raise ValueError(
            f"its header promises {found.nbytes:,} bytes of numbers, and there are "
            f"{size - length:,}"
        )
    return found


def _start_of(member: zipfile.ZipInfo, path: Path) -> int | None:
    """Where the bytes of an entry begin; None where they are packed or encrypted."""
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & ENCRYPTED:
        return None
    with path.open("rb") as file:
        file.seek(member.header_offset)
        name, extra = struct.unpack_from("<HH", file.read(LOCAL_HEADER), LOCAL_HEADER - 4)
    return member.header_offset + LOCAL_HEADER + name + extra


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Whatever a damaged file raises becomes one line about it."""
    try:
        yield
    except DanluError:
        raise
    except DAMAGES as error:
        first = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise DanluError(f"{path} does not hold plain, undamaged arrays: {first}.") from error
