"""Word vectors in the file formats of word2vec, text and binary, as gensim and others read them.

Text: a line `count dim`, then a line for each word with its numbers, written so that they are read
back bit for bit. Binary: the same first line, then word, space, 32-bit little-endian floats.
Nothing is ever unpickled. word2vec cuts long words after a number of bytes, also inside a
character: what is left of it becomes the replacement character.
"""

from collections.abc import Iterator
from io import BufferedIOBase
from itertools import takewhile
from pathlib import Path

import numpy as np
import torch

from danlu.contracts import DanluError
from danlu.embeddings.vectors import WordVectors
from danlu.files import whole_file
from danlu.reading import open_bytes, require_file, require_memory
from danlu.reading.paths import is_packed

_FLOAT = np.dtype("<f4")
REPLACEMENT = "\ufffd"
LISTED = 5


def write_text(vectors: WordVectors, path: Path) -> None:
    """Write the text format.

    Raises:
        DanluError: a word has white space, which the format cannot hold.
    """
    with whole_file(path) as place, place.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"{len(vectors)} {vectors.dim}\n")
        for word, row in _rows(vectors):
            file.write(f"{word} {' '.join(map(str, row))}\n")


def write_binary(vectors: WordVectors, path: Path) -> None:
    """Write the binary format.

    Raises:
        DanluError: a word has white space, which the format cannot hold.
    """
    with whole_file(path) as place, place.open("wb") as file:
        file.write(f"{len(vectors)} {vectors.dim}\n".encode())
        for word, row in _rows(vectors):
            file.write(word.encode() + b" " + row.tobytes() + b"\n")


def _rows(vectors: WordVectors) -> Iterator[tuple[str, np.ndarray]]:
    matrix = vectors.matrix.detach().cpu().numpy().astype(_FLOAT)
    for word, row in zip(vectors.words, matrix, strict=True):
        if not word or word.split() != [word]:
            raise DanluError(f"The word2vec format cannot hold the word {word!r}.")
        yield word, row


def read_text(path: Path) -> WordVectors:
    """Read the text format, gzipped or plain, also as GloVe writes it, without a first line.

    Raises:
        DanluError: the file is no such file, or cut short.
    """
    with open_bytes(path) as file:
        first = file.readline()
        headed = _is_header(first)
        size, dim = _header(first, path) if headed else _counted(first, file, path)
        words, matrix = [], _room(size, dim, path)
        if not headed:
            file.seek(0)
        for i in range(size):
            line = file.readline()
            word, *numbers = line.rstrip().decode(errors="replace").rsplit(" ", dim)
            # A last line without an end may lack digits of its last number.
            if len(numbers) < dim or not line.endswith(b"\n"):
                raise _cut_short(path, size, dim, i)
            words.append(word)
            try:
                matrix[i] = numbers
            except ValueError:
                line_number = i + 1 + headed
                raise DanluError(
                    f"{path}, line {line_number}: {word!r} has no {dim} numbers."
                ) from None
        return _checked(path, words, matrix)


def _counted(first: bytes, file: BufferedIOBase, path: Path) -> tuple[int, int]:
    """Vectors and numbers of a file without a header: its lines, and those of the first."""
    fields = first.split()
    numbers = list(takewhile(_is_number, reversed(fields[1:])))
    if not numbers:
        raise DanluError(
            f"{path} is no word2vec file: it begins neither with `count dim` nor, as GloVe's do, "
            "with a word and its numbers."
        )
    return 1 + sum(1 for line in file if line.strip()), len(numbers)


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def read_binary(path: Path) -> WordVectors:
    """Read the binary format, gzipped or plain.

    Raises:
        DanluError: the file is no such file, or cut short.
    """
    with open_bytes(path) as file:
        size, dim = _header(file.readline(100), path)
        words, matrix = [], _room(size, dim, path)
        for i in range(size):
            word = _word(file)
            row = file.read(dim * _FLOAT.itemsize)
            if word is None or len(row) < dim * _FLOAT.itemsize:
                raise _cut_short(path, size, dim, i)
            words.append(word.decode(errors="replace"))
            matrix[i] = np.frombuffer(row, dtype=_FLOAT)
        return _checked(path, words, matrix)


def _word(file: BufferedIOBase) -> bytes | None:
    """What comes before the next space; None at the end of the file."""
    letters = bytearray()
    while (letter := file.read(1)) != b" ":
        if not letter:
            return None
        letters += letter
    return bytes(letters).lstrip(b"\n")


def _is_header(line: bytes) -> bool:
    fields = line.split()
    return len(fields) == 2 and all(field.isdigit() for field in fields)


def _header(line: bytes, path: Path) -> tuple[int, int]:
    if not _is_header(line):
        raise DanluError(f"{path} is no word2vec file: its first line must be `count dim`.")
    size, dim = map(int, line.split())
    least = size * (2 * dim + 1)  # of a text file; binary files are longer
    if dim < 1 or (least > require_file(path) and not is_packed(path)):
        raise _cut_short(path, size, dim)
    return size, dim


def _room(size: int, dim: int, path: Path) -> np.ndarray:
    # Twice: the vectors, and the same at length one.
    require_memory(2 * size * dim * _FLOAT.itemsize, f"{path}: {size:,} vectors of {dim} numbers")
    return np.empty((size, dim), dtype=np.float32)


def _cut_short(path: Path, size: int, dim: int, found: int | None = None) -> DanluError:
    holds = "has no room for all" if found is None else f"ends in vector {found + 1}"
    return DanluError(
        f"{path} is cut short: of {size} vectors of {dim} numbers that it should have, it {holds}; "
        "copy it again."
    )


def _checked(path: Path, words: list[str], matrix: np.ndarray) -> WordVectors:
    """The vectors; of a word that is there twice the first one, as gensim does."""
    finite = np.isfinite(matrix).all(1)
    if not finite.all():
        raise DanluError(
            f"{path}: the vector of {words[int(finite.argmin())]!r} is infinite or no number; "
            "remove it."
        )
    first: dict[str, int] = {}
    twice = [word for i, word in enumerate(words) if first.setdefault(word, i) != i]
    damaged = [word for word in first if REPLACEMENT in word]
    notices = []
    if damaged:
        notices.append(f"Words that were cut inside a character: {_listed(damaged)}.")
    if twice:
        notices.append(f"Words with several vectors, of which the first counts: {_listed(twice)}.")
        matrix = matrix[list(first.values())]
    return WordVectors([*first], torch.from_numpy(matrix), notices=notices)


def _listed(words: list[str]) -> str:
    more = f" and {len(words) - LISTED:,} more" if len(words) > LISTED else ""
    return f"{', '.join(map(repr, words[:LISTED]))}{more}"
