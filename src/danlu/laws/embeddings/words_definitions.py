"""Word vectors against their training written apart: plain loops, and slopes by differentiation."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid

from danlu.embeddings import Sentences, Vocabulary, count_words
from danlu.embeddings.cbow import Cbow
from danlu.embeddings.cbow_softmax import CbowSoftmax
from danlu.embeddings.counting import Counting
from danlu.embeddings.encoded import encoded
from danlu.embeddings.fasttext import FastText
from danlu.embeddings.linear_autoencoder import LinearAutoencoder
from danlu.embeddings.negative_sampling import NegativeSampling
from danlu.embeddings.skip_gram import SkipGram
from danlu.embeddings.subwords import Subwords
from danlu.embeddings.svd_ppmi import SvdPpmi
from danlu.laws.draws import seed
from danlu.laws.gaps import largest, relative_gap
from danlu.laws.law import Case, Law, stated

LINES = [["a", "cat", "a", "dog", "sat"], ["dog", "a", "cat"], ["sat", "a", "a", "cat", "dog"]]
VOCABULARY = Vocabulary.of(count_words(LINES * 2), min_count=1)
SUBWORDS = Subwords(shortest=2, longest=3, buckets=7)

Example = tuple[list[int], int]
"""Rows whose mean is the hidden vector, and the word to be told."""


def hashed(text: str) -> int:
    """FNV-1a in whole numbers of Python."""
    found = 2166136261
    for byte in text.encode():
        found = ((found ^ byte) * 16777619) % 2**32
    return found


def grams(word: str) -> list[str]:
    """The n-grams of 2 and 3 characters of a word between its marks."""
    marked = f"<{word}>"
    return [marked[i : i + n] for n in (2, 3) for i in range(len(marked) - n + 1)]


def _pairs(line: Sequence[int], radius: Sequence[int]) -> list[tuple[int, int]]:
    """Positions (centre, context), nearest first, to the right before to the left."""
    return [
        (centre, context)
        for centre in range(len(line))
        for distance in range(1, radius[centre] + 1)
        for context in (centre + distance, centre - distance)
        if 0 <= context < len(line) and line[context] == line[centre]
    ]


def _skip_gram(ids: Sequence[int], pairs: list[tuple[int, int]]) -> list[Example]:
    return [([ids[centre]], ids[context]) for centre, context in pairs]


def _cbow(ids: Sequence[int], pairs: list[tuple[int, int]]) -> list[Example]:
    centres = sorted({centre for centre, _ in pairs})
    return [([ids[j] for i, j in pairs if i == centre], ids[centre]) for centre in centres]


def _fasttext(ids: Sequence[int], pairs: list[tuple[int, int]]) -> list[Example]:
    buckets = sorted({hashed(gram) % 7 for word in VOCABULARY.words for gram in grams(word)})
    rows = {
        i: [i, *(len(VOCABULARY) + buckets.index(hashed(gram) % 7) for gram in grams(word))]
        for i, word in enumerate(VOCABULARY.words)
    }
    return [(rows[ids[centre]], ids[context]) for centre, context in pairs]


@dataclass
class _Trained:
    """Negative sampling as word2vec has it, one batch after the other."""

    options: NegativeSampling
    examples: Callable[[Sequence[int], list[tuple[int, int]]], list[Example]]
    rows: int

    def inputs(self) -> Tensor:
        """The rows after training on LINES twice over."""
        o, draws = self.options, torch.Generator().manual_seed(self.options.seed)
        counts = VOCABULARY.counts
        inputs = (torch.rand(self.rows, o.dim, generator=draws) - 0.5) / o.dim
        outputs = torch.zeros(len(counts), o.dim)
        noise = np.cumsum(counts**0.75)
        keep = [min(1.0, math.sqrt(o.sample / n * counts.sum())) for n in counts]
        kept = counts * np.array(keep)
        batch = int(min(256, max(1, 4 * kept.sum() / kept.max())))
        (text,) = encoded(Sentences(LINES * 2), VOCABULARY)
        size, done = len(text.ids), 0
        for epoch in range(o.epochs):
            left = text.subsampled(np.array(keep), o.seed + 2 * epoch)
            radius = [int(u * o.window) + 1 for u in left.uniform(o.seed + 2 * epoch + 1)]
            examples = self.examples(left.ids.tolist(), _pairs(left.line.tolist(), radius))
            for first in range(0, len(examples), batch):
                progress = (done + first / len(examples) * size) / (o.epochs * size)
                points = torch.rand(64, generator=draws, dtype=torch.float64) * noise[-1]
                others = [int((noise <= point).sum()) for point in points.tolist()]
                rate = o.rate * max(1e-4, 1 - progress)
                self._step(inputs, outputs, examples[first : first + batch], others, rate)
            done += size
        return inputs

    def _step(
        self, inputs: Tensor, outputs: Tensor, part: list[Example], others: list[int], rate: float
    ) -> None:
        """Descend along the summed loss; every row of a bag moves by the mean's whole slope."""
        hidden = torch.stack([inputs[rows].mean(0) for rows, _ in part]).requires_grad_()
        words = outputs.clone().requires_grad_()
        right = logsigmoid((hidden * words[[target for _, target in part]]).sum(1)).sum()
        wrong = logsigmoid(-hidden @ words[others].T).sum() * self.options.negatives / 64
        by_hidden, by_words = torch.autograd.grad(-right - wrong, (hidden, words))
        outputs -= rate * by_words
        for (rows, _), slope in zip(part, by_hidden, strict=True):
            for row in rows:
                inputs[row] -= rate * slope


def _negative_sampling() -> list[Case]:
    """Skip-gram, CBOW and fastText after two epochs equal word2vec's loop written apart."""
    plain = {"dim": 3, "window": 2, "negatives": 3, "epochs": 2, "rate": 0.3, "sample": 0.2}
    plain["seed"] = seed()
    fast = FastText(**plain, subwords=SUBWORDS)  # type: ignore[arg-type]
    _, rows = fast.bags_of_words(VOCABULARY)
    n = len(VOCABULARY)
    kinds = [
        ("skip-gram", SkipGram(**plain), _skip_gram, n),  # type: ignore[arg-type]
        ("cbow", Cbow(**plain), _cbow, n),  # type: ignore[arg-type]
        ("fasttext", fast, _fasttext, rows),
    ]

    def error(options: NegativeSampling, examples: Callable, rows: int) -> float:
        found = options.fit([Sentences(LINES * 2)], VOCABULARY).matrix
        inputs = _Trained(options, examples, rows).inputs()
        if rows > n:
            own = {i: rows for rows, i in _fasttext(range(n), [(i, i) for i in range(n)])}
            inputs = torch.stack([inputs[own[i]].mean(0) for i in range(n)])
        return relative_gap(found, inputs[:n])

    return [(name, lambda row=row: error(*row)) for name, *row in kinds]


def _cbow_softmax() -> float:
    """CBOW with a softmax after three epochs equals its loop written apart."""
    o = CbowSoftmax(dim=3, window=2, epochs=3, rate=0.02, sample=0.2, seed=seed())
    draws = torch.Generator().manual_seed(o.seed)
    n, counts = len(VOCABULARY), VOCABULARY.counts
    weights = [torch.randn(n, 3, generator=draws) / 3, torch.zeros(n, 3)]
    weights = [weight.requires_grad_() for weight in weights]
    adam = torch.optim.Adam(weights)
    keep = np.array([min(1.0, math.sqrt(0.2 / c * counts.sum())) for c in counts])
    (text,) = encoded(Sentences(LINES * 2), VOCABULARY)
    for epoch in range(3):
        adam.param_groups[0]["lr"] = 0.02 * (1 - epoch / 3)
        left = text.subsampled(keep, o.seed + epoch)
        pairs = _pairs(left.line.tolist(), [2] * len(left.ids))
        examples = _cbow(left.ids.tolist(), pairs)
        order = torch.randperm(len(examples), generator=draws).tolist()
        sums = torch.stack([weights[0][examples[i][0]].sum(0) for i in order])
        adam.zero_grad()
        cross_entropy(sums @ weights[1].T, torch.tensor([examples[i][1] for i in order])).backward()
        adam.step()
    return relative_gap(o.fit([Sentences(LINES * 2)], VOCABULARY).matrix, weights[0].detach())


def _ppmi() -> np.ndarray:
    """Shifted by ln 1/2, contexts to the power 3/4, from weighted pairs of a window of 2."""
    n = len(VOCABULARY)
    counts = np.zeros((n, n))
    for line in LINES:
        for i, word in enumerate(line):
            for j, context in enumerate(line):
                if 1 <= abs(i - j) <= 2:
                    place = VOCABULARY.index[word], VOCABULARY.index[context]
                    counts[place] += (3 - abs(i - j)) / 2
    contexts = counts.sum(0) ** 0.75
    with np.errstate(divide="ignore"):
        pmi = np.log(counts / counts.sum(1)[:, None] / (contexts / contexts.sum()))
    return np.maximum(pmi + math.log(2), 0)


def _factorised() -> float:
    """Both factorise the shifted PPMI that loops count, with its singular values' powers."""
    left, values, _ = np.linalg.svd(_ppmi())
    shared = {
        "dim": 2,
        "shift": 0.5,
        "smoothing": 0.75,
        "counting": Counting(window=2),
        "seed": seed(),
    }
    svd = SvdPpmi(power=0.5, **shared)  # type: ignore[arg-type]
    linear = LinearAutoencoder(sweeps=60, **shared)  # type: ignore[arg-type]
    pairs = [(svd, left[:, :2] * values[:2] ** 0.5), (linear, left[:, :2] * values[:2])]
    worst = 0.0
    for method, exact in pairs:
        found = method.fit([Sentences(LINES)], VOCABULARY).matrix.double()
        worst = largest(worst, relative_gap(found @ found.T, torch.from_numpy(exact @ exact.T)))
    return worst


LAWS: list[Law] = [
    stated("words/negative-sampling", 1e-6, _negative_sampling, "definition"),
    stated("words/cbow-softmax", 1e-6, _cbow_softmax, "definition"),
    stated("words/svd-ppmi-linear-autoencoder", 1e-4, _factorised, "definition"),
]
