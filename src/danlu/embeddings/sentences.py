r"""Sentences as weighted averages of their word vectors.

$s = \sum_i a_{w_i} w_i / \sum_i a_{w_i}$, with equal weights, or $a_w = a / (a + p(w))$ for words
of relative frequency p, which takes frequent words back. A sentence without a known word is zero.

Sources: Arora, Liang & Ma 2017 (A simple but tough-to-beat baseline for sentence embeddings) eq. 1;
kexue.fm/archives/4233.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.contracts import DanluError, unknown
from danlu.embeddings.bags import Bags
from danlu.embeddings.vectors import WordVectors

SMOOTH = 1e-3


def equal(vectors: WordVectors) -> Float[Tensor, " vocab"]:
    """Every word counts alike."""
    return torch.ones(len(vectors), dtype=vectors.matrix.dtype)


def smooth_inverse_frequency(vectors: WordVectors) -> Float[Tensor, " vocab"]:
    """Frequent words count less.

    Raises:
        DanluError: the vectors came without counts.
    """
    if vectors.counts is None:
        raise DanluError("These vectors have no counts (word2vec files have none); weigh equally.")
    frequency = vectors.counts.to(vectors.matrix.dtype) / vectors.counts.sum()
    return SMOOTH / (SMOOTH + frequency)


SENTENCE_WEIGHTS: Mapping[str, Callable[[WordVectors], Tensor]] = {
    "equal": equal,
    "inverse-frequency": smooth_inverse_frequency,
}
"""How much each word of a sentence counts."""


def sentence_vectors(
    vectors: WordVectors, sentences: Sequence[Sequence[str]], *, weighting: str = "equal"
) -> Float[Tensor, "sentences dim"]:
    """The weighted average of each sentence's known words.

    Raises:
        DanluError: unknown weighting.
    """
    if weighting not in SENTENCE_WEIGHTS:
        raise unknown("weighting", weighting, SENTENCE_WEIGHTS)
    index = vectors.index
    bags = Bags.of([[index[word] for word in words if word in index] for words in sentences])
    weights = SENTENCE_WEIGHTS[weighting](vectors)
    whole = bags.total(weights[:, None])
    return bags.total(vectors.matrix, weights) / torch.where(whole > 0, whole, 1.0)
