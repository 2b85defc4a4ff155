r"""Negative sampling: a word is told from k others that are drawn from the noise distribution.

For a hidden vector h (the mean of some input rows) and the vectors $v_c$ of target words,
$\ell = -\ln\sigma(h \cdot v_c) - k\,\mathbb E_{c' \sim P} \ln\sigma(-h \cdot v_{c'})$ with
$P(c) \propto \#(c)^{3/4}$. Descent is stochastic, with a rate that falls linearly, as in word2vec;
a batch shares its noise words, each with the weight k over their number, which keeps the
expectation and turns the work into matrix products. Every row of a bag is moved by the whole
gradient of its mean, as word2vec does.

Sources: arXiv:1310.4546 eq. 4; arXiv:1604.04661 (shared negatives).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from danlu.contracts import DanluError
from danlu.embeddings.bags import Bags
from danlu.embeddings.encoded import Encoded, in_memory
from danlu.embeddings.text import Shard
from danlu.embeddings.vectors import WordVectors
from danlu.embeddings.vocabulary import Vocabulary
from danlu.embeddings.windows import require_window, window_pairs

SMOOTHING = 0.75
LEAST_RATE = 1e-4
"""The share of the rate at which training ends."""
BATCH, SHARED = 256, 64
"""The most examples of a batch, and the noise words that they share."""
REPEATS = 4
"""How often a batch may hold its commonest word: steps along one row add up within a batch."""


def expected_objective(
    scores: Float[Tensor, "vocab vocab"],
    counts: Float[Tensor, "vocab vocab"],
    noise: Float[Tensor, " vocab"],
    negatives: float,
) -> Float[Tensor, ""]:
    """The negative-sampling loss of a corpus in expectation, for given scores w·c of all pairs."""
    noise_pairs = negatives * counts.sum(1, keepdim=True) * noise
    return (
        -(counts * functional.logsigmoid(scores)).sum()
        - (noise_pairs * functional.logsigmoid(-scores)).sum()
    )


def gradients(
    hidden: Float[Tensor, "batch dim"],
    target: Float[Tensor, "batch dim"],
    noise: Float[Tensor, "shared dim"],
    negatives: float,
) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch dim"], Float[Tensor, "shared dim"]]:
    """Gradients of a batch's summed loss by the hidden, target and noise vectors."""
    miss = (hidden * target).sum(1, keepdim=True).sigmoid() - 1
    alarm = (hidden @ noise.T).sigmoid() * (negatives / len(noise))
    return miss * target + alarm @ noise, miss * hidden, alarm.T @ hidden


@dataclass(frozen=True, kw_only=True)
class NegativeSampling(ABC):
    """What skip-gram, CBOW and sub-word vectors share.

    Attributes:
        dim: numbers of a vector.
        window: largest reach of a context; each word's own is drawn from 1 up to it.
        negatives: k, noise words for each target.
        epochs: passes over the text.
        rate: learning rate at the start.
        sample: threshold of subsampling; 0 keeps every word.
        seed: of everything random.
    """

    dim: int = 100
    window: int = 5
    negatives: int = 5
    epochs: int = 5
    rate: float = 0.025
    sample: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        require_window(self.window)
        if min(self.dim, self.negatives, self.epochs) < 1 or self.rate <= 0:
            raise DanluError("dim, negatives, epochs and rate must be positive.")

    @abstractmethod
    def examples(
        self,
        ids: Int[Tensor, " tokens"],
        centre: Int[Tensor, " pairs"],
        context: Int[Tensor, " pairs"],
    ) -> tuple[Bags, Int[Tensor, " examples"]]:
        """Input words and target word of every example; pairs of positions come in order."""

    def bags_of_words(self, vocabulary: Vocabulary) -> tuple[Bags | None, int]:
        """The input rows of every word, None for one each; and how many rows there are."""
        return None, len(vocabulary)

    @abstractmethod
    def vectors(self, inputs: Float[Tensor, "rows dim"], vocabulary: Vocabulary) -> WordVectors:
        """The vectors to give out."""

    def fit(self, shards: Sequence[Shard], vocabulary: Vocabulary) -> WordVectors:
        """Train on text that fits into memory as ids."""
        text = in_memory(shards, vocabulary)
        generator = torch.Generator().manual_seed(self.seed)
        parts, rows = self.bags_of_words(vocabulary)
        inputs = (torch.rand(rows, self.dim, generator=generator) - 0.5) / self.dim
        outputs = torch.zeros(len(vocabulary), self.dim)
        noise = torch.from_numpy(vocabulary.counts).double().pow(SMOOTHING).cumsum(0)
        batch = self._batch_size(vocabulary)
        done, total = 0, max(1, self.epochs * sum(len(piece.ids) for piece in text))
        for piece, radius, size in self._passes(text, vocabulary):
            for bags, target, share in self._batches(piece, radius, batch):
                rate = self.rate * max(LEAST_RATE, 1 - (done + share * size) / total)
                drawn = torch.rand(SHARED, generator=generator, dtype=torch.float64) * noise[-1]
                negative = torch.searchsorted(noise, drawn, right=True).clamp(max=len(noise) - 1)
                expanded = bags if parts is None else bags.expanded(parts)
                self._step(inputs, outputs, expanded, target, negative, rate)
            done += size
        if not torch.isfinite(inputs).all():
            raise DanluError(f"The vectors grew without bound; lower the rate ({self.rate}).")
        return self.vectors(inputs, vocabulary)

    def _passes(
        self, text: list[Encoded], vocabulary: Vocabulary
    ) -> Iterator[tuple[Encoded, np.ndarray, int]]:
        """Text with what is drawn anew in each epoch: which tokens stay, and their radii."""
        keep = vocabulary.keep_probability(self.sample)
        for epoch in range(self.epochs):
            for piece in text:
                left = piece.subsampled(keep, self.seed + 2 * epoch)
                radius = (left.uniform(self.seed + 2 * epoch + 1) * self.window).astype(int) + 1
                yield left, radius, len(piece.ids)

    def _batch_size(self, vocabulary: Vocabulary) -> int:
        """Smaller where few words make up much of the text."""
        kept = vocabulary.counts * vocabulary.keep_probability(self.sample)
        return int(np.clip(REPEATS * kept.sum() / kept.max(), 1, BATCH))

    def _batches(
        self, piece: Encoded, radius: np.ndarray, batch: int
    ) -> Iterator[tuple[Bags, Tensor, float]]:
        """Batches with the share of the piece that came before them."""
        centre, context = map(torch.from_numpy, window_pairs(piece.line, radius))
        bags, targets = self.examples(torch.from_numpy(piece.ids).long(), centre, context)
        starts = [*bags.starts.tolist(), len(bags.rows)]
        count = len(targets)
        for first in range(0, count, batch):
            last = min(first + batch, count)
            rows = bags.rows[starts[first] : starts[last]]
            yield Bags(rows, bags.sizes[first:last]), targets[first:last], first / count

    def _step(
        self,
        inputs: Tensor,
        outputs: Tensor,
        bags: Bags,
        target: Tensor,
        negative: Tensor,
        rate: float,
    ) -> None:
        """One step of descent, in place."""
        by_hidden, by_target, by_noise = gradients(
            bags.mean(inputs), outputs[target], outputs[negative], float(self.negatives)
        )
        outputs.index_add_(0, target, by_target, alpha=-rate)
        outputs.index_add_(0, negative, by_noise, alpha=-rate)
        single = len(bags.rows) == len(bags)
        inputs.index_add_(0, bags.rows, by_hidden if single else by_hidden[bags.owner], alpha=-rate)
