"""Text files as strings: what is no text is refused, or left out of a folder and listed."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from danlu.contracts import DanluError, unknown
from danlu.reading import decoded, found_below, lines_of, read_bytes

_TAG = re.compile(r"(\S+)/\S+")
_SPACE = re.compile(r" (?=[.,;:?!)]|'')|(?<=\() |(?<=``) ")
COPIES = 30
"""Bytes of memory for a byte of a text: it, its characters, their code points and their ids."""


def as_it_is(text: str) -> str:
    """The text unchanged."""
    return text


def brown(text: str) -> str:
    """A line for each sentence of the Brown corpus' tagged form, `The/at jury/nn said/vbd ./.`."""
    lines = (_TAG.sub(r"\1", line.strip()) for line in lines_of(text) if line.strip())
    joined = "".join(f"{_SPACE.sub('', line)}\n" for line in lines)
    return joined.replace("``", '"').replace("''", '"')


READERS: Mapping[str, Callable[[str], str]] = {"plain": as_it_is, "brown": brown}
"""What is made of the text of a file."""


def read_texts(
    paths: Sequence[Path], *, reader: str = "plain", binary: bool = False
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The texts of files, and of all files of folders, by name; and what was left out, and why.

    A text that is there twice would be learned and held out at once: it counts once.

    Args:
        paths: files and folders.
        reader: a name in `READERS`.
        binary: take any bytes; those that are no text survive as surrogates.

    Raises:
        DanluError: nothing is there, a single file is no text, the reader is unknown, or the
            memory would not do.
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
        found = found_below(path)
        skipped += [*found.skipped, *(f"{name}: hidden or of the system" for name in found.hidden)]
        for name in found.files:
            try:
                texts[str(path / name)] = READERS[reader](_decoded(path / name, binary))
            except DanluError as error:
                skipped.append(f"{name}: {error}")
    texts = _once({name: text for name, text in texts.items() if text}, skipped)
    if not texts:
        why = f" ({skipped[0]})" if skipped else ""
        raise DanluError(f"There is no text in {', '.join(map(str, paths))}{why}.")
    return texts, tuple(skipped)


def _decoded(path: Path, binary: bool) -> str:
    raw = read_bytes(path, copies=COPIES)
    if binary:
        return raw.decode("utf-8", errors="surrogateescape")
    try:
        return decoded(raw, path.name)
    except DanluError as error:
        raise DanluError(f"{error}, or learn its bytes with --set data.unit=bytes.") from None


def _once(texts: Mapping[str, str], skipped: list[str]) -> dict[str, str]:
    first: dict[str, str] = {}
    for name, text in texts.items():
        known = first.setdefault(text, name)
        if known != name:
            skipped.append(f"{name}: the same text as {known}")
    return {name: text for text, name in first.items()}
