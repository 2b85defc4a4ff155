"""The words of a corpus with their counts, most frequent first."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from danlu.contracts import DanluError


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Words and their counts; ties are in alphabetical order, so that equal texts give equal ids.

    Attributes:
        words: every word once, most frequent first.
        counts: how often each occurs.
    """

    words: tuple[str, ...]
    counts: Int[np.ndarray, " vocab"]
    index: Mapping[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", {word: i for i, word in enumerate(self.words)})

    def __len__(self) -> int:
        return len(self.words)

    @classmethod
    def of(cls, counted: Mapping[str, int], *, min_count: int = 5) -> "Vocabulary":
        """The words that occur at least `min_count` times.

        Raises:
            DanluError: there is none.
        """
        kept = sorted(
            ((word, n) for word, n in counted.items() if n >= min_count),
            key=lambda pair: (-pair[1], pair[0]),
        )
        if not kept:
            total = sum(counted.values())
            raise DanluError(
                f"The corpus has no word that occurs {min_count} times ({total} words in all, "
                f"{len(counted)} different); give more text or a smaller min-count."
            )
        return cls(tuple(word for word, _ in kept), np.array([n for _, n in kept], dtype=np.int64))

    def keep_probability(self, sample: float) -> Float[np.ndarray, " vocab"]:
        r"""Subsampling of frequent words: $\min(1, \sqrt{t / f})$ with $t$ = `sample`.

        Args:
            sample: the relative frequency above which words are thinned out; 0 keeps all.

        Source: arXiv:1310.4546 eq. 5.
        """
        if sample < 0:
            raise DanluError(f"The subsampling threshold must not be negative, got {sample}.")
        if sample == 0:
            return np.ones(len(self))
        frequency = self.counts / self.counts.sum()
        return np.minimum(1.0, np.sqrt(sample / frequency))


def count_words(lines: Iterable[Sequence[str]]) -> Counter[str]:
    """How often each word occurs."""
    counted: Counter[str] = Counter()
    for words in lines:
        counted.update(words)
    return counted
