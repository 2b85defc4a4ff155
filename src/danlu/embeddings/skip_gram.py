r"""Skip-gram: a word predicts each word of its context, by negative sampling.

$\ell = -\sum_{(w,c)} [\ln\sigma(w \cdot c) + k\,\mathbb E_{c' \sim P}\ln\sigma(-w \cdot c')]$ over
all pairs of a word w and a context c inside a window. With enough dimensions its optimum is the
shifted pointwise mutual information, $w \cdot c = \ln\frac{\#(w,c)}{\#(w) P(c)} - \ln k$. Use it
where word *similarity* counts; counting with SVD is faster and better at
relatedness on small corpora.

Sources: arXiv:1310.4546 eq. 4; Levy & Goldberg 2014; kexue.fm/archives/4233.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from danlu.embeddings.bags import Bags
from danlu.embeddings.method import vectors_for
from danlu.embeddings.negative_sampling import NegativeSampling
from danlu.embeddings.vectors import WordVectors
from danlu.embeddings.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class SkipGram(NegativeSampling):
    """Skip-gram with negative sampling."""

    @override
    def examples(
        self,
        ids: Int[Tensor, " tokens"],
        centre: Int[Tensor, " pairs"],
        context: Int[Tensor, " pairs"],
    ) -> tuple[Bags, Int[Tensor, " examples"]]:
        return Bags(ids[centre], torch.ones_like(centre)), ids[context]

    @override
    def vectors(self, inputs: Float[Tensor, "rows dim"], vocabulary: Vocabulary) -> WordVectors:
        return vectors_for(vocabulary, inputs)
