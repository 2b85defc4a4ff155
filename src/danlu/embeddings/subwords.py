r"""Pieces of words: character n-grams, hashed into buckets.

The n-grams of `where` with n = 3 are those of `<where>`: `<wh whe her ere re>`. An n-gram's bucket
is its FNV-1a hash modulo the number of buckets: $h \leftarrow (h \oplus \text{byte}) \cdot 16777619
\bmod 2^{32}$ from $h = 2166136261$; so it is the same in every process and on every machine.

Sources: arXiv:1607.04606 section 3.2; RFC 9923 (FNV).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt32
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError
from danlu.embeddings.vectors import WordVectors

_BASIS, _PRIME = np.uint32(2166136261), np.uint32(16777619)


def fnv1a(texts: Sequence[bytes]) -> UInt32[np.ndarray, " texts"]:
    """The 32-bit FNV-1a hash of every text."""
    longest = max(map(len, texts), default=0)
    rows = np.frombuffer(b"".join(t.ljust(longest, b"\0") for t in texts), dtype=np.uint8)
    rows = rows.reshape(len(texts), longest).astype(np.uint32)
    lengths = np.array([len(text) for text in texts])
    found = np.full(len(texts), _BASIS)
    for i in range(longest):
        found = np.where(i < lengths, (found ^ rows[:, i]) * _PRIME, found)
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Subwords:
    """Which n-grams a word has and how many buckets they share.

    Attributes:
        shortest: length of the shortest n-grams in characters.
        longest: length of the longest.
        buckets: how many hashes are told apart.
    """

    shortest: int = 3
    longest: int = 6
    buckets: int = 2_000_000

    def __post_init__(self) -> None:
        if not (1 <= self.shortest <= self.longest and self.buckets >= 1):
            raise DanluError(
                f"N-grams need 1 <= shortest <= longest and a bucket, got {self.shortest}, "
                f"{self.longest}, {self.buckets}."
            )

    def ngrams(self, word: str) -> list[str]:
        """The n-grams of a word between its marks, the marks alone left out."""
        marked = f"<{word}>"
        return [
            marked[start : start + n]
            for n in range(self.shortest, self.longest + 1)
            for start in range(len(marked) - n + 1)
            if n > 1 or 0 < start < len(marked) - 1
        ]

    def hashes(self, word: str) -> Int[np.ndarray, " ngrams"]:
        """The bucket of each n-gram."""
        return fnv1a([gram.encode() for gram in self.ngrams(word)]).astype(np.int64) % self.buckets


class SubwordVectors(WordVectors):
    """Word vectors that also build the vector of a word they never saw, from its n-grams.

    Args:
        known: words, vectors (each the mean of its word's and n-grams' rows) and counts.
        subwords: how n-grams are cut and hashed.
        buckets: the buckets that occur in the vocabulary, in order.
        rows: their vectors.
    """

    def __init__(
        self,
        known: WordVectors,
        subwords: Subwords,
        buckets: Int[Tensor, " buckets"],
        rows: Float[Tensor, "buckets dim"],
    ) -> None:
        super().__init__(known.words, known.matrix, counts=known.counts)
        self.subwords, self.buckets, self.rows = subwords, buckets, rows

    @override
    def __contains__(self, word: str) -> bool:
        return word in self.index or len(self._rows_of(word)) > 0

    @override
    def vector(self, word: str) -> Float[Tensor, " dim"]:
        """The vector of a word; of an unknown one the mean of those n-grams that were trained.

        Raises:
            DanluError: no n-gram of the word is known either.
        """
        if word in self.index:
            return self.matrix[self.index[word]]
        rows = self._rows_of(word)
        if len(rows) == 0:
            raise DanluError(f"Unknown word {word!r}, and no part of it is known.")
        return rows.mean(0)

    def _rows_of(self, word: str) -> Float[Tensor, "ngrams dim"]:
        hashes = torch.from_numpy(self.subwords.hashes(word))
        place = torch.searchsorted(self.buckets, hashes).clamp(max=len(self.buckets) - 1)
        return self.rows[place[self.buckets[place] == hashes]]
