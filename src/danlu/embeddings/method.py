"""What every way to learn word vectors offers: a corpus in, vectors out."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from danlu.embeddings.text import Shard
from danlu.embeddings.vectors import WordVectors
from danlu.embeddings.vocabulary import Vocabulary


@runtime_checkable
class WordMethod(Protocol):
    """A way to learn word vectors; its fields are its settings."""

    def fit(self, shards: Sequence[Shard], vocabulary: Vocabulary) -> WordVectors:
        """Vectors for the words of a vocabulary from the text in some shards."""
        ...


def vectors_for(vocabulary: Vocabulary, matrix: Tensor) -> WordVectors:
    """Vectors in 32 bits, with the words and counts of a vocabulary."""
    counts = torch.from_numpy(vocabulary.counts)
    return WordVectors(vocabulary.words, matrix.float(), counts=counts)
