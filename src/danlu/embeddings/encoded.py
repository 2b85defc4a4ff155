r"""Text as numbers: ids line by line, with frequent words thinned out reproducibly.

The random number of a token is a hash (the mixer of SplitMix64) of the seed, its line's key and
its position in the line. It does not depend on what was read before, so shards, processes and
repetitions agree bit for bit.

Source: doi:10.1145/2660193.2660195 (SplitMix64).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

from danlu.embeddings.text import Shard
from danlu.embeddings.vocabulary import Vocabulary

_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
CHUNK = 1 << 18
"""Tokens that are encoded at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Lines of word ids, one after the other.

    Attributes:
        ids: ids of all tokens.
        lengths: how many of them each line has.
        keys: what its random numbers are made from, for each line.
    """

    ids: Int[np.ndarray, " tokens"]
    lengths: Int[np.ndarray, " lines"]
    keys: UInt64[np.ndarray, " lines"]

    @property
    def line(self) -> Int[np.ndarray, " tokens"]:
        """The number of each token's line."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def uniform(self, seed: int) -> Float[np.ndarray, " tokens"]:
        """One number in [0, 1) for each token."""
        line = self.line
        position = np.arange(len(self.ids)) - (np.cumsum(self.lengths) - self.lengths)[line]
        start = _mixed(self.keys + _mixed(np.array([seed % 2**64], dtype=np.uint64)))
        bits = _mixed(start[line] + position.astype(np.uint64) * np.uint64(_GOLDEN))
        return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def kept(self, mask: Bool[np.ndarray, " tokens"]) -> "Encoded":
        """Without some of the tokens."""
        lengths = np.bincount(self.line[mask], minlength=len(self.lengths))
        return Encoded(self.ids[mask], lengths, self.keys)

    def subsampled(self, keep: Float[np.ndarray, " vocab"], seed: int) -> "Encoded":
        """Each token is kept with its word's probability."""
        return self if keep.min() >= 1 else self.kept(self.uniform(seed) < keep[self.ids])


def _mixed(z: UInt64[np.ndarray, "..."]) -> UInt64[np.ndarray, "..."]:
    z = z + np.uint64(_GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_FIRST)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_SECOND)
    return z ^ (z >> np.uint64(31))


def encoded(shard: Shard, vocabulary: Vocabulary, *, chunk: int = CHUNK) -> Iterator[Encoded]:
    """Lines in pieces of about `chunk` tokens; unknown words are left out before any window."""
    index = vocabulary.index
    ids: list[int] = []
    lengths: list[int] = []
    keys: list[int] = []
    for key, words in shard.lines():
        before = len(ids)
        ids += [index[word] for word in words if word in index]
        lengths.append(len(ids) - before)
        keys.append(key)
        if len(ids) >= chunk:
            yield _packed(ids, lengths, keys)
            ids, lengths, keys = [], [], []
    if ids:
        yield _packed(ids, lengths, keys)


def _packed(ids: list[int], lengths: list[int], keys: list[int]) -> Encoded:
    return Encoded(
        np.array(ids, dtype=np.int32),
        np.array(lengths, dtype=np.int64),
        np.array(keys, dtype=np.uint64),
    )


def in_memory(shards: Iterable[Shard], vocabulary: Vocabulary) -> list[Encoded]:
    """A whole corpus for methods that pass over it many times: 4 bytes a token and 16 a line."""
    return [piece for shard in shards for piece in encoded(shard, vocabulary)]
