r"""Sub-word vectors: skip-gram in which a word is the mean of itself and its character n-grams.

$w = \frac{1}{1 + |G_w|}(u_w + \sum_{g \in G_w} u_g)$ with a row for the word and one for each
hashed n-gram of 3 to 6 characters. A word that was never seen has a vector as well, the mean of
those of its n-grams that were. Use it for inflected languages, names and misspellings.

Only buckets that occur in the vocabulary are kept; the others would hold their random start.

Sources: arXiv:1607.04606 eq. 2; kexue.fm/archives/4233.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.embeddings.bags import Bags
from danlu.embeddings.method import vectors_for
from danlu.embeddings.skip_gram import SkipGram
from danlu.embeddings.subwords import Subwords, SubwordVectors
from danlu.embeddings.vectors import WordVectors
from danlu.embeddings.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class FastText(SkipGram):
    """Skip-gram over character n-grams.

    Attributes:
        subwords: how words are cut into n-grams, and how many buckets these share.
    """

    rate: float = 0.05
    subwords: Subwords = field(default_factory=Subwords)

    @override
    def bags_of_words(self, vocabulary: Vocabulary) -> tuple[Bags | None, int]:
        used, parts = self._parts(vocabulary)
        return parts, len(vocabulary) + len(used)

    @override
    def vectors(self, inputs: Float[Tensor, "rows dim"], vocabulary: Vocabulary) -> WordVectors:
        used, parts = self._parts(vocabulary)
        known = vectors_for(vocabulary, parts.mean(inputs))
        return SubwordVectors(known, self.subwords, used, inputs[len(vocabulary) :].clone())

    def _parts(self, vocabulary: Vocabulary) -> tuple[Tensor, Bags]:
        """The buckets in use, and the rows of every word: its own first, then its n-grams'."""
        hashes = [self.subwords.hashes(word) for word in vocabulary.words]
        used, place = np.unique(np.concatenate(hashes), return_inverse=True)
        cuts = np.cumsum([len(each) for each in hashes])[:-1]
        rows = [
            np.concatenate([[word], len(vocabulary) + inside])
            for word, inside in enumerate(np.split(place, cuts))
        ]
        sizes = torch.tensor([len(each) for each in rows])
        return torch.from_numpy(used), Bags(torch.from_numpy(np.concatenate(rows)), sizes)
