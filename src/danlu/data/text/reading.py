"""Text files as strings: what is no text is refused, or left out of a folder and listed."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from danlu.contracts import DanluError, unknown

_TAG = re.compile(r"(\S+)/\S+")
_SPACE = re.compile(r" (?=[.,;:?!)]|'')|(?<=\() |(?<=``) ")


def as_it_is(text: str) -> str:
    """The text unchanged."""
    return text


def brown(text: str) -> str:
    """A line for each sentence of the Brown corpus' tagged form, `The/at jury/nn said/vbd ./.`."""
    lines = (_TAG.sub(r"\1", line.strip()) for line in text.splitlines() if line.strip())
    joined = "".join(f"{_SPACE.sub('', line)}\n" for line in lines)
    return joined.replace("``", '"').replace("''", '"')


READERS: Mapping[str, Callable[[str], str]] = {"plain": as_it_is, "brown": brown}
"""What is made of the text of a file."""


def read_texts(
    paths: Sequence[Path], *, reader: str = "plain", binary: bool = False
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The texts of files, and of all files of folders, by name; and what was left out, and why.

    Args:
        paths: files and folders.
        reader: a name in `READERS`.
        binary: take any bytes; those that are no text survive as surrogates.

    Raises:
        DanluError: nothing is there, a single file is no text, or the reader is unknown.
    """
    if reader not in READERS:
        raise unknown("reader", reader, READERS)
    texts: dict[str, str] = {}
    skipped: list[str] = []
    for path in paths:
        if not path.exists():
            raise DanluError(f"There is no file or folder {path}.")
        if not path.is_dir():
            texts[str(path)] = READERS[reader](_decoded(path, binary))
            continue
        for each in sorted(p for p in path.rglob("*") if p.is_file()):
            try:
                texts[str(each)] = READERS[reader](_decoded(each, binary))
            except DanluError as error:
                skipped.append(f"{each.relative_to(path)}: {error}")
    texts = {name: text for name, text in texts.items() if text}
    if not texts:
        why = f" ({skipped[0]})" if skipped else ""
        raise DanluError(f"There is no text in {', '.join(map(str, paths))}{why}.")
    return texts, tuple(skipped)


def _decoded(path: Path, binary: bool) -> str:
    raw = path.read_bytes()
    if binary:
        return raw.decode("utf-8", errors="surrogateescape")
    place = raw.find(b"\0")
    try:
        if place < 0:
            return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = error.start
    raise DanluError(
        f"{path.name} is no UTF-8 text (byte {place}): convert it, for example with iconv, or "
        "learn its bytes with --set data.unit=bytes."
    )
