"""Text as a source: windows of one length, cut from pieces that are split by a hash.

All texts are joined as they are and cut into pieces of the same size. A tenth of the pieces, by a
hash of their number, is the test split, another tenth the validation split: whatever the order of
the text, all of it is in each split, and no training window reaches into a held-out piece. Windows
to train on begin every eighth of a window; held-out ones stand side by side. A window is read as it
is in the text: its first token may stand in the middle of a word.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, Integer, Num
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError, DataDescription, DataKind, unknown
from danlu.data.source import Examples, Source
from danlu.data.splits import split
from danlu.data.text.reading import read_texts
from danlu.data.text.tokens import Bytes, Characters, Tokens

UNITS = ("characters", "bytes")
WINDOW, SHORTEST = 128, 2
LEAST_WINDOWS = 10
"""Fewer windows in a text cannot be split."""
PIECES, LONGEST_PIECE = 40, 32
"""A text has at least so many pieces where it can, of at most so many windows each."""
OVERLAP = 8
"""Training windows begin so many times in the length of one."""
LISTED = 5


class Windows(Examples):
    """Windows of `length` ids out of one long row, known by where they begin.

    Args:
        tokens: the row.
        starts: first token of each window.
        description: its shape is the length of a window.
    """

    def __init__(
        self,
        tokens: Integer[Tensor, " total"],
        starts: Int[Tensor, " windows"],
        description: DataDescription,
    ) -> None:
        super().__init__(tokens.new_empty(0, *description.shape).long(), None, description)
        self.tokens, self.starts = tokens, starts

    @override
    def __len__(self) -> int:
        return len(self.starts)

    @override
    def content(self) -> Iterator[Tensor]:
        """The row, and where windows begin."""
        yield from (self.tokens, self.starts)

    @override
    def x(self, indices: Int[Tensor, " batch"] | None = None) -> Num[Tensor, "batch length"]:
        """The ids of the chosen windows, or of all."""
        starts = self.starts if indices is None else self.starts.index_select(0, indices)
        places = starts[:, None] + torch.arange(self.description.dims)
        return self.tokens[places].long()


def text_source(
    paths: Sequence[Path],
    *,
    window: int | None = None,
    unit: str = "characters",
    reader: str = "plain",
) -> Source:
    """Text files, or folders of them, as windows.

    Args:
        paths: files and folders, in the order in which they are joined.
        window: tokens of an example; 128 when absent.
        unit: `characters`, or `bytes`, which take any file.
        reader: what is made of a file, a name in `READERS`.

    Raises:
        DanluError: there is no text, it is no text, or it is too short.
    """
    if unit not in UNITS:
        raise unknown("unit of text", unit, UNITS)
    window = WINDOW if window is None else window
    if window < SHORTEST:
        raise DanluError(f"A window of text has at least {SHORTEST} tokens, got --size {window}.")
    texts, skipped = read_texts(paths, reader=reader, binary=unit == "bytes")
    text = "".join(texts.values())
    tokens: Tokens = Bytes() if unit == "bytes" else Characters.of(text)
    if tokens.size < 2:
        raise DanluError(f"The text is nothing but {text[0]!r}: there is nothing to learn.")
    ids = tokens.encode(text)
    if len(ids) < LEAST_WINDOWS * window:
        raise DanluError(
            f"The text has {len(ids):,} {unit}; windows of {window} need {LEAST_WINDOWS * window:,}"
            f" or more: give more text, or a shorter --size."
        )
    description = _described(tokens, window)
    starts = _starts(len(ids), window)
    training, validation, test = (
        Windows(ids.to(_smallest(tokens.size)), torch.from_numpy(part), description)
        for part in starts
    )
    return Source(
        name=paths[0].resolve().stem if len(paths) == 1 else f"{len(paths)} texts",
        description=description,
        training=training,
        validation=validation,
        test=test,
        notices=tuple(_notices(len(texts), len(ids), description, unit, skipped)),
        skipped=skipped,
    )


def _described(tokens: Tokens, window: int) -> DataDescription:
    return DataDescription(
        kind=DataKind.TEXT,
        shape=(window,),
        levels=tokens.size,
        low=0.0,
        high=tokens.size - 1.0,
        alphabet=tokens.alphabet,
    )


def _starts(total: int, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the windows of training, validation and test begin."""
    size = window * max(1, min(LONGEST_PIECE, total // (PIECES * window)))
    count = total // size
    held = max(1, count // 10)
    training, *rest = split(range(count), None, validation=held, test=held)
    training = np.append(training, count)  # what is left behind the last whole piece
    ends = np.flatnonzero(np.diff(training) > 1) + 1
    runs = pairwise([0, *ends.tolist(), len(training)])
    stride = max(1, window // OVERLAP)
    found = [
        np.arange(training[a] * size, min((training[b - 1] + 1) * size, total) - window + 1, stride)
        for a, b in runs
    ]
    within = np.arange(0, size, window)
    validation, test = ((part[:, None] * size + within).ravel() for part in rest)
    return np.concatenate(found), validation, test


def _smallest(levels: int) -> torch.dtype:
    """The type that holds the ids in the least memory."""
    return torch.uint8 if levels <= 256 else torch.int32


def _notices(
    files: int, total: int, description: DataDescription, unit: str, skipped: tuple[str, ...]
) -> list[str]:
    assert description.levels is not None
    of_files = f"{files} files" if files > 1 else "one file"
    kinds = f" ({description.levels} different)" if unit == "characters" else ""
    lines = [
        f"{total:,} {unit}{kinds} of {of_files}, in windows of {description.dims}; a tenth each "
        "for validation and test."
    ]
    if skipped:
        shown = "; ".join(skipped[:LISTED])
        more = f"; and {len(skipped) - LISTED} more" if len(skipped) > LISTED else ""
        lines.append(f"{len(skipped)} files are left out: {shown}{more}.")
    return lines
