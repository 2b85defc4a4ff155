r"""CBOW with the full softmax: the summed vectors of a window predict its centre among all words.

$p(c \mid w_1, \dots, w_n) = \mathrm{softmax}(U \sum_j w_j)_c$, trained by cross-entropy. The sum of
word vectors is a bag of words times a dense matrix, so this is a network of two linear layers: a
linear autoencoder of contexts but for its softmax and its target. Every step costs the whole
vocabulary; it is here to be compared with, on vocabularies of a few thousand words.

Sources: arXiv:1301.3781; kexue.fm/archives/4233.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from danlu.contracts import DanluError
from danlu.embeddings.bags import Bags
from danlu.embeddings.cbow import windows
from danlu.embeddings.encoded import in_memory
from danlu.embeddings.method import vectors_for
from danlu.embeddings.text import Shard
from danlu.embeddings.vectors import WordVectors
from danlu.embeddings.vocabulary import Vocabulary
from danlu.embeddings.windows import require_window, window_pairs

BATCH = 512


def softmax_loss(
    inputs: Float[Tensor, "vocab dim"],
    outputs: Float[Tensor, "vocab dim"],
    contexts: Bags,
    centres: Int[Tensor, " examples"],
) -> Float[Tensor, ""]:
    """Mean cross-entropy of the centres, given the words around them."""
    return functional.cross_entropy(contexts.total(inputs) @ outputs.T, centres)


@dataclass(frozen=True, kw_only=True, slots=True)
class CbowSoftmax:
    """The continuous bag of words with a softmax over the vocabulary, trained by Adam.

    Attributes:
        dim: numbers of a vector.
        window: reach of the context.
        epochs: passes over the text.
        rate: learning rate at the start; it falls linearly.
        sample: threshold of subsampling; 0 keeps every word.
        seed: of everything random.
    """

    dim: int = 100
    window: int = 5
    epochs: int = 5
    rate: float = 2e-3
    sample: float = 1e-3
    seed: int = 0

    def fit(self, shards: Sequence[Shard], vocabulary: Vocabulary) -> WordVectors:
        """Train on text that fits into memory as ids."""
        require_window(self.window)
        if min(self.dim, self.epochs) < 1 or self.rate <= 0:
            raise DanluError("dim, epochs and rate must be positive.")
        text = in_memory(shards, vocabulary)
        generator = torch.Generator().manual_seed(self.seed)
        start = torch.randn(len(vocabulary), self.dim, generator=generator) / self.dim
        inputs, outputs = start.requires_grad_(), torch.zeros_like(start).requires_grad_()
        optimizer = torch.optim.Adam([inputs, outputs], lr=self.rate)
        keep = vocabulary.keep_probability(self.sample)
        done, total = 0, max(1, self.epochs * len(text))
        for epoch in range(self.epochs):
            for piece in text:
                left = piece.subsampled(keep, self.seed + epoch)
                centre, context = window_pairs(left.line, left.ids * 0 + self.window)
                ids = torch.from_numpy(left.ids).long()
                bags, targets = windows(ids, torch.from_numpy(centre), torch.from_numpy(context))
                for part in torch.randperm(len(bags), generator=generator).split(BATCH):
                    optimizer.zero_grad()
                    softmax_loss(inputs, outputs, bags.chosen(part), targets[part]).backward()
                    optimizer.step()
                done += 1
                for group in optimizer.param_groups:
                    group["lr"] = self.rate * (1 - done / total)
        return vectors_for(vocabulary, inputs.detach())
