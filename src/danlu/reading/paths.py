"""What a path is before it is opened, the files of a folder, and bytes that may be gzipped.

Only regular files are read: a pipe would wait for ever and a device may have no end. A folder is
searched recursively through links, and a file counts once however many names lead to it, so that
no example stands on two sides of a split. Hidden and system files are left out.
"""

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from danlu.contracts import DanluError
from danlu.reading.room import SHARE, available_memory, require_memory

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
SYSTEM = frozenset({
    "__MACOSX", "__pycache__", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information",
    "lost+found", "Thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini", "Icon\r",
})  # fmt: skip
"""What machines put beside the files of people; names that begin with a dot are hidden anyway."""
GZIP = b"\x1f\x8b"
BLOCK = 1 << 24


@dataclass(frozen=True, slots=True)
class Found:
    """The files below a folder.

    Attributes:
        files: relative paths with forward slashes, in order.
        skipped: what is no file or has been counted before, `path: reason`.
        hidden: hidden and system files and folders that were not looked into.
        folders: relative paths of the folders that were entered.
    """

    files: tuple[str, ...]
    skipped: tuple[str, ...]
    hidden: tuple[str, ...]
    folders: tuple[str, ...]


def require_file(path: Path) -> int:
    """The bytes of a regular file.

    Raises:
        DanluError: it is not there, or something else.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise DanluError(f"{path}: {error.strerror}.") from None
    if reason := _no_file(status):
        raise DanluError(f"{path} is {reason}; give a file.")
    return status.st_size


def _no_file(status: os.stat_result) -> str:
    kind = stat.S_IFMT(status.st_mode)
    return "" if kind == stat.S_IFREG else f"{KINDS.get(kind, 'something else')}, not a file"


def is_packed(path: Path) -> bool:
    """Whether a file is gzipped, by its first bytes.

    Raises:
        DanluError: it is no file, or cannot be opened.
    """
    require_file(path)
    try:
        with path.open("rb") as file:
            return file.read(len(GZIP)) == GZIP
    except OSError as error:
        raise DanluError(f"{path}: {error.strerror}.") from None


@contextmanager
def open_bytes(path: Path) -> Iterator[BufferedIOBase]:
    """A file for reading, unpacked on the way where it is gzipped.

    Raises:
        DanluError: it is no file, cannot be opened, or its archive is damaged.
    """
    unpacks = is_packed(path)
    try:
        with gzip.open(path) if unpacks else path.open("rb") as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DanluError(f"{path} is cut short or damaged: {error}.") from error


def read_bytes(path: Path, *, copies: int = 1) -> bytes:
    """The whole of a file, gzipped or plain, if it fits into the memory.

    Args:
        path: of the file.
        copies: how many times its size is needed at the worst moment.

    Raises:
        DanluError: it is no file, is damaged, or would not fit.
    """
    size = require_file(path)
    require_memory(size * copies, str(path), instead="give a smaller file")
    most = SHARE * available_memory() / copies
    parts, total = [], 0
    with open_bytes(path) as file:
        while part := file.read(BLOCK):
            parts.append(part)
            total += len(part)
            if total > most:  # a few bytes can unpack to any size
                raise DanluError(
                    f"{path} unpacks to more than {total / 1e9:,.1f} GB, which the memory does "
                    "not hold; give a smaller file."
                )
    return b"".join(parts)


def found_below(folder: Path) -> Found:
    """All files below a folder, each once.

    Of several names of one file that one counts which leads there without a link, else the first.
    """
    walk = _Walk(folder)
    skipped, files = list(walk.skipped), []
    first: dict[tuple[int, int], str] = {}
    for _, name in sorted(walk.names):  # links last
        try:
            status = os.stat(folder / name)
        except OSError as error:
            skipped.append(f"{name}: {error.strerror or error}")
            continue
        known = first.setdefault((status.st_dev, status.st_ino), name)
        if reason := _no_file(status):
            skipped.append(f"{name}: {reason}")
        elif known != name:
            skipped.append(f"{name}: the same file as {known}")
        else:
            files.append(name)
    parts = (files, skipped, walk.hidden, walk.folders.values())
    return Found(*(tuple(sorted(part)) for part in parts))


class _Walk:
    """Every folder once: first those that are reached without a link, then what links lead to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: list[tuple[bool, str]] = []  # whether a link leads there, relative path
        self.skipped: list[str] = []
        self.hidden: list[str] = []
        self.folders: dict[str, str] = {}  # real path -> relative path
        links = [folder]
        while links:
            links += self._enter(links.pop(0))

    def _enter(self, start: Path) -> list[Path]:
        """Walk below a folder; gives the links to folders in it."""
        links: list[Path] = []
        for parent, subfolders, names in os.walk(start, onerror=self._closed):
            at = Path(parent).relative_to(self.folder).as_posix()
            known = self.folders.setdefault(os.path.realpath(parent), at)
            if known != at:
                self.skipped.append(f"{at}: the same folder as {known}")
                subfolders.clear()
                continue
            inside = {name: Path(parent, name) for name in sorted((*subfolders, *names))}
            seen = {name: path for name, path in inside.items() if not _is_hidden(name)}
            self.hidden += [self._of(path) for name, path in inside.items() if name not in seen]
            links += [seen[name] for name in subfolders if name in seen and seen[name].is_symlink()]
            linked = start != self.folder
            self.names += [
                (linked or seen[name].is_symlink(), self._of(seen[name]))
                for name in names
                if name in seen
            ]
            subfolders[:] = [n for n in subfolders if n in seen and not seen[n].is_symlink()]
        return links

    def _closed(self, error: OSError) -> None:
        self.skipped.append(f"{self._of(Path(error.filename))}: {error.strerror}")

    def _of(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in SYSTEM
