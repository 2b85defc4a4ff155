"""Word vectors in the file formats of word2vec, text and binary, as gensim and others read them.

Text: a line `count dim`, then a line for each word with its numbers, written so that they are read
back bit for bit. Binary: the same first line, then word, space, 32-bit little-endian floats.
Nothing is ever unpickled.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from danlu.contracts import DanluError
from danlu.embeddings.vectors import WordVectors

_FLOAT = np.dtype("<f4")


def write_text(vectors: WordVectors, path: Path) -> None:
    """Write the text format.

    Raises:
        DanluError: a word has white space, which the format cannot hold.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"{len(vectors)} {vectors.dim}\n")
        for word, row in _rows(vectors):
            file.write(f"{word} {' '.join(map(str, row))}\n")


def write_binary(vectors: WordVectors, path: Path) -> None:
    """Write the binary format.

    Raises:
        DanluError: a word has white space, which the format cannot hold.
    """
    with path.open("wb") as file:
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
    """Read the text format.

    Raises:
        DanluError: the file is no such file, or cut short.
    """
    with path.open("rb") as file:
        size, dim = _header(file, path)
        words, matrix = [], np.empty((size, dim), dtype=np.float32)
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
                raise DanluError(f"{path}, line {i + 2}: {word!r} has no {dim} numbers.") from None
        return _checked(path, words, matrix)


def read_binary(path: Path) -> WordVectors:
    """Read the binary format.

    Raises:
        DanluError: the file is no such file, or cut short.
    """
    with path.open("rb") as file:
        size, dim = _header(file, path)
        words, matrix = [], np.empty((size, dim), dtype=np.float32)
        for i in range(size):
            word = _word(file)
            row = file.read(dim * _FLOAT.itemsize)
            if word is None or len(row) < dim * _FLOAT.itemsize:
                raise _cut_short(path, size, dim, i)
            words.append(word.decode(errors="replace"))
            matrix[i] = np.frombuffer(row, dtype=_FLOAT)
        return _checked(path, words, matrix)


def _word(file: BinaryIO) -> bytes | None:
    """What comes before the next space; None at the end of the file."""
    letters = bytearray()
    while (letter := file.read(1)) != b" ":
        if not letter:
            return None
        letters += letter
    return bytes(letters).lstrip(b"\n")


def _header(file: BinaryIO, path: Path) -> tuple[int, int]:
    fields = file.readline(100).split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        raise DanluError(f"{path} is no word2vec file: its first line must be `count dim`.")
    size, dim = map(int, fields)
    least = size * (2 * dim + 1)  # of a text file; binary files are longer
    if dim < 1 or least > path.stat().st_size:
        raise _cut_short(path, size, dim)
    return size, dim


def _cut_short(path: Path, size: int, dim: int, found: int | None = None) -> DanluError:
    holds = "is too small for them" if found is None else f"ends in vector {found + 1}"
    return DanluError(
        f"{path} is cut short: its first line promises {size} vectors of {dim} numbers, and it "
        f"{holds}; copy it again."
    )


def _checked(path: Path, words: list[str], matrix: np.ndarray) -> WordVectors:
    if len(set(words)) < len(words):
        raise DanluError(f"{path} has a word twice; keep one of its vectors.")
    return WordVectors(words, torch.from_numpy(matrix))
