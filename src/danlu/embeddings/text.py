"""Text as a stream of lines of words, cut into shards that can be read one by one or at once.

A line is known by its file's number and its byte offset, not by how many lines came before it. So
whatever is drawn for a line (subsampling) is the same in every cut of the corpus into shards.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol, runtime_checkable

from danlu.contracts import DanluError, unknown
from danlu.embeddings.vocabulary import count_words

_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_LETTER = re.compile(r"[^\W\d_]")


def running_words(line: str) -> list[str]:
    """Lower-cased words of running text; what has no letter in it is left out."""
    return [word for word in _WORD.findall(line.lower()) if _LETTER.search(word)]


def spaced_words(line: str) -> list[str]:
    """What stands between spaces, unchanged: for text that has been cut into words before."""
    return line.split()


def tagged_words(line: str) -> list[str]:
    """Lower-cased words of the Brown corpus' tagged form, `The/at jury/nn said/vbd ./.`."""
    words = (token.rpartition("/")[0].lower() for token in line.split())
    return [word for word in words if _LETTER.search(word)]


READERS: Mapping[str, Callable[[str], list[str]]] = {
    "words": running_words,
    "spaces": spaced_words,
    "brown": tagged_words,
}
"""How a line becomes words."""


@runtime_checkable
class Shard(Protocol):
    """A part of a corpus: lines of words, each with a key of its own. Can be pickled and reread."""

    def lines(self) -> Iterator[tuple[int, Sequence[str]]]:
        """Key and words of every line."""
        ...


@dataclass(frozen=True, slots=True)
class Sentences:
    """Lines that are in memory."""

    sentences: Sequence[Sequence[str]]
    first_key: int = 0

    def lines(self) -> Iterator[tuple[int, Sequence[str]]]:
        """Key and words of every line."""
        return enumerate(self.sentences, self.first_key)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileRange:
    """The lines of a file that begin in a range of bytes.

    Attributes:
        path: a UTF-8 text file.
        number: which file of the corpus it is.
        start: first byte of the range.
        stop: the byte behind the range.
        reader: a name in `READERS`.
    """

    path: Path
    number: int
    start: int
    stop: int
    reader: str

    def lines(self) -> Iterator[tuple[int, Sequence[str]]]:
        """Key and words of every line; lines without words are left out.

        Raises:
            DanluError: a line is not UTF-8.
        """
        split = READERS[self.reader]
        with self.path.open("rb") as file:
            if self.start:
                file.seek(self.start - 1)
                file.readline()  # the rest of a line that began in the range before
            while (offset := file.tell()) < self.stop:
                words = split(self._decoded(file.readline(), offset))
                if words:
                    yield (self.number << 44) + offset, words

    def _decoded(self, line: bytes, offset: int) -> str:
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            raise DanluError(
                f"{self.path} is no UTF-8 text (line at byte {offset}); convert it, for example "
                "with iconv."
            ) from None


def file_shards(
    paths: Iterable[Path], *, reader: str = "words", shards: int = 1
) -> list[FileRange]:
    """Cut files into at least `shards` ranges of about equal size; the words do not depend on it.

    Raises:
        DanluError: no file, or an unknown reader.
        OSError: a file cannot be opened.
    """
    if reader not in READERS:
        raise unknown("reader", reader, READERS)
    files = list(paths)
    if not files:
        raise DanluError("A corpus needs at least one file.")
    sizes = [path.stat().st_size for path in files]
    largest = max(1, -(-sum(sizes) // max(1, shards)))
    found = []
    for number, (path, size) in enumerate(zip(files, sizes, strict=True)):
        cuts = [*range(0, size, largest), size]
        found += [
            FileRange(path=path, number=number, start=a, stop=b, reader=reader)
            for a, b in pairwise(cuts)
        ]
    return found


def files_below(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The files given, and all files of the folders given, in alphabetical order."""
    found: list[Path] = []
    for path in map(Path, paths):
        inside = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else []
        if path.is_dir() and not inside:
            raise DanluError(f"{path} holds no file.")
        found += inside or [path]
    return found


def words_in(shard: Shard) -> Counter[str]:
    """How often each word of a shard occurs."""
    return count_words(words for _, words in shard.lines())
