"""Files that are whole or absent: written under a temporary name, synced, then renamed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY, ASIDE = ".writing-", ".old-"


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one step."""
    temporary = path.with_name(TEMPORARY + path.name)
    temporary.write_text(text, encoding="utf-8")
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name to write to; the file appears under its own name when it is complete."""
    temporary = path.with_name(TEMPORARY + path.name)
    yield temporary
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill; it appears under its own name when it is complete.

    A folder that has the name already is set aside, never removed before its successor is there:
    after a kill in between, `bring_back` returns it.
    """
    temporary = path.with_name(TEMPORARY + path.name)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    yield temporary
    for file in temporary.iterdir():
        sync(file)
    sync(temporary)
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


def sync(path: Path) -> None:
    """Wait until a file's or a folder's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
