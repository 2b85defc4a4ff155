"""Text as a stream of lines of words, cut into shards that can be read one by one or at once.

A line is known by its file's number and its byte offset, not by how many lines came before it. So
whatever is drawn for a line (subsampling) is the same in every cut of the corpus into shards.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol, runtime_checkable

import regex

from danlu.contracts import DanluError, unknown
from danlu.embeddings.vocabulary import count_words
from danlu.reading import decoded, found_below, lines_of, open_bytes, read_text, require_file
from danlu.reading.paths import is_packed
from danlu.reading.texts import LONGEST_MARK, encoding_of

# Marks (vowel signs, points, accents) and joiners belong to the word that they stand in.
_INSIDE = r"\p{L}\p{N}\p{M}\u200c\u200d"
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = regex.compile(rf"[{_INSIDE}]+(?:['’\-][{_INSIDE}]+)*")
_CHARACTER = regex.compile(rf"[{_UNSPACED}]\p{{M}}*|(?:(?![{_UNSPACED}])[{_INSIDE}'’\-])+")
_CHINESE = regex.compile(r"\p{Han}+|\P{Han}+")
_LETTER = regex.compile(r"\p{L}")
_HAN = regex.compile(r"\p{Han}")
_RUN = regex.compile(rf"[{_UNSPACED}]{{5,}}")
SOFT_HYPHEN = "\u00ad"
ENDLESS = 1 << 44
"""An offset behind every line; what a gzipped file unpacks to is not known before."""


def running_words(line: str) -> list[str]:
    """Lower-cased words of running text; what has no letter in it is left out.

    Letters and their accents are put together (NFC), so that both spellings are one word.
    """
    plain = unicodedata.normalize("NFC", line.replace(SOFT_HYPHEN, "").lower())
    return [word for word in _WORD.findall(plain) if _LETTER.search(word)]


def spaced_words(line: str) -> list[str]:
    """What stands between spaces, unchanged: for text that has been cut into words before."""
    return line.split()


def tagged_words(line: str) -> list[str]:
    """Lower-cased words of the Brown corpus' tagged form, `The/at jury/nn said/vbd ./.`."""
    words = (token.rpartition("/")[0].lower() for token in line.split())
    return [word for word in words if _LETTER.search(word)]


def single_characters(line: str) -> list[str]:
    """Words, but for scripts that have no spaces (Chinese, Japanese, Thai, …) their characters."""
    found = (part for word in running_words(line) for part in _CHARACTER.findall(word))
    return [part for part in found if _LETTER.search(part)]


def segmented_words(line: str) -> list[str]:
    """Words, those of Chinese as rjieba finds them: by a dictionary and a hidden Markov model.

    Raises:
        DanluError: rjieba is not installed.
    """
    try:
        from rjieba import cut  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise DanluError(
            "The reader `segmented` needs rjieba: pip install danlu[segment]."
        ) from None
    runs = (run for word in running_words(line) for run in _CHINESE.findall(word))
    parts = (part for run in runs for part in (cut(run) if _HAN.match(run) else [run]))
    return [part for part in parts if _LETTER.search(part)]


READERS: Mapping[str, Callable[[str], list[str]]] = {
    "words": running_words,
    "spaces": spaced_words,
    "brown": tagged_words,
    "characters": single_characters,
    "segmented": segmented_words,
}
"""How a line becomes words."""


def without_spaces(word: str) -> bool:
    """Whether a word is rather a clause of a script that has no spaces."""
    return bool(_RUN.search(word))


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
        path: a text file.
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
            DanluError: a line is no text.
        """
        split = READERS[self.reader]
        for offset, line in self._texts():
            words = split(line)
            if words:
                yield (self.number << 44) + offset, words

    def _texts(self) -> Iterator[tuple[int, str]]:
        """Byte offset and text of every line that begins in the range."""
        if _is_wide(self.path):  # line ends are not single bytes; the file is one range
            yield from enumerate(lines_of(read_text(self.path)))
            return
        with open_bytes(self.path) as file:
            if self.start:
                file.seek(self.start - 1)
                file.readline()  # the rest of a line that began in the range before
            while (offset := file.tell()) < self.stop and (line := file.readline()):
                encoding = "utf-8" if offset else encoding_of(line)
                yield offset, decoded(line, self.path, start=offset, encoding=encoding)


def file_shards(
    paths: Iterable[Path], *, reader: str = "words", shards: int = 1
) -> list[FileRange]:
    """Cut files into at least `shards` ranges of about equal size; the words do not depend on it.

    Files that are gzipped, or in UTF-16 or UTF-32, stay whole.

    Raises:
        DanluError: no file, or an unknown reader.
    """
    if reader not in READERS:
        raise unknown("reader", reader, READERS)
    files = list(paths)
    if not files:
        raise DanluError("A corpus needs at least one file.")
    sizes = [require_file(path) for path in files]
    largest = max(1, -(-sum(sizes) // max(1, shards)))
    found = []
    for number, (path, size) in enumerate(zip(files, sizes, strict=True)):
        whole = is_packed(path) or _is_wide(path)
        cuts = [0, ENDLESS] if whole else [*range(0, size, largest), size]
        found += [
            FileRange(path=path, number=number, start=a, stop=b, reader=reader)
            for a, b in pairwise(cuts)
        ]
    return found


def _is_wide(path: Path) -> bool:
    with open_bytes(path) as file:
        return not encoding_of(file.read(LONGEST_MARK)).startswith("utf-8")


def files_below(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The files given, and all files of the folders given but hidden ones, each once, in order."""
    found: list[Path] = []
    for path in map(Path, paths):
        inside = [path / name for name in found_below(path).files] if path.is_dir() else []
        if path.is_dir() and not inside:
            raise DanluError(f"{path} holds no file.")
        found += inside or [path]
    return found


def words_in(shard: Shard) -> Counter[str]:
    """How often each word of a shard occurs."""
    return count_words(words for _, words in shard.lines())
