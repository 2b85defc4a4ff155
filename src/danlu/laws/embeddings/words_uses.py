"""Uses of word vectors against plain loops: nearness, sentences, unknown words, classifiers."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.sparse import csr_array
from torch.nn.functional import cross_entropy

from danlu.contracts import DanluError
from danlu.embeddings import WordVectors
from danlu.embeddings.bag_classifier import (
    BagClassifier,
    BagTraining,
    ngram_bags,
    train_classifier,
)
from danlu.embeddings.sentences import sentence_vectors
from danlu.embeddings.subwords import SubwordVectors
from danlu.embeddings.truncated_svd import truncated_svd
from danlu.laws.draws import generator, seed
from danlu.laws.embeddings.words_definitions import SUBWORDS, grams, hashed
from danlu.laws.gaps import gap, largest, relative_gap
from danlu.laws.law import Law, stated


def _vectors() -> WordVectors:
    matrix = torch.randn(6, 3, generator=generator())
    return WordVectors(list("abcdef"), matrix, counts=torch.tensor([50, 20, 15, 9, 5, 1]))


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def _nearness() -> float:
    """Cosines, neighbours and analogies equal loops over all words."""
    vectors = _vectors()
    table = dict(zip(vectors.words, vectors.matrix.tolist(), strict=True))
    unit = {word: [x / math.hypot(*v) for x in v] for word, v in table.items()}
    query = [b - a + c for a, b, c in zip(unit["a"], unit["d"], unit["e"], strict=True)]

    def ranked(point: Sequence[float], without: str) -> list[tuple[str, float]]:
        found = [(word, _cosine(point, v)) for word, v in table.items() if word not in without]
        return sorted(found, key=lambda pair: -pair[1])

    near, like = vectors.neighbours("b", 3), vectors.analogy("a", "d", "e", 2)
    exact = ranked(table["b"], "b")[:3], ranked(query, "ade")[:2]
    if [word for word, _ in near + like] != [word for word, _ in exact[0] + exact[1]]:
        return math.inf
    first = vectors.analogies(torch.tensor([[0, 3, 4]]))
    answered = vectors.words[int(first)] == exact[1][0][0]
    found = [*(s for _, s in near + like), vectors.similarity("a", "f"), answered, vectors.dim]
    cosines = [s for _, s in exact[0] + exact[1]]
    return gap(found, [*cosines, _cosine(table["a"], table["f"]), True, 3])


def _sentences() -> float:
    """Sentences are the weighted means of their known words."""
    vectors, texts = _vectors(), ["abba", "cx", "xy", "f"]
    frequency = {word: n / 100 for word, n in zip("abcdef", (50, 20, 15, 9, 5, 1), strict=True)}
    worst = 0.0
    for name, weigh in (("equal", lambda f: 1.0), ("inverse-frequency", lambda f: 1 / (1e-3 + f))):
        exact = []
        for text in texts:
            known = [word for word in text if word in frequency]
            weights = [weigh(frequency[word]) for word in known]
            rows = [weight * vectors.vector(w) for weight, w in zip(weights, known, strict=True)]
            exact.append(sum(rows, torch.zeros(3)) / (sum(weights) or 1.0))
        found = sentence_vectors(vectors, [list(text) for text in texts], weighting=name)
        worst = largest(worst, gap(found, torch.stack(exact)))
    return worst


def _unknown_words() -> float:
    """An unknown word is the mean of its n-grams that were trained."""
    known = WordVectors(["cat"], torch.randn(1, 3, generator=generator()))
    kept = sorted({hashed(gram) % 7 for gram in ("<c", "ca", "<ca")})
    rows = torch.randn(len(kept), 3, generator=generator(1))
    vectors = SubwordVectors(known, SUBWORDS, torch.tensor(kept), rows)
    seen = [kept.index(b) for gram in grams("cab") if (b := hashed(gram) % 7) in kept]
    # Of "zz" no n-gram falls into a bucket that was trained.
    assert not {hashed(gram) % 7 for gram in grams("zz")} & set(kept)
    inside = [word in vectors for word in ("cat", "cab", "zz")]
    return gap((vectors.vector("cab"), inside), (rows[seen].mean(0), [True, True, False]))


def _classifier() -> float:
    """A classifier of bags after two epochs equals its loop written apart."""
    texts = [[f"w{(i * j) % 7}" for j in range(1 + i % 4)] for i in range(40)]
    bags, labels = ngram_bags(texts, longest=2, buckets=50), torch.arange(40) % 3
    grams = [
        [hashed(" ".join(text[i : i + n])) % 50 for n in (1, 2) for i in range(len(text) - n + 1)]
        for text in texts
    ]
    table = torch.randn(50, 4, generator=generator(1))
    model = BagClassifier(table, 3, tuned=True)
    train_classifier(model, bags, labels, BagTraining(epochs=2, rate=0.05, seed=seed()))
    weights = [table.clone(), torch.zeros(3, 4), torch.zeros(3)]
    weights = [weight.requires_grad_() for weight in weights]
    adam, draws, step = torch.optim.Adam(weights), generator(), 0
    for _ in range(2):
        for part in torch.randperm(40, generator=draws).split(16):
            adam.param_groups[0]["lr"] = 0.05 * (1 - 0.99 * step / 6)
            means = torch.stack([weights[0][grams[i]].mean(0) for i in part.tolist()])
            adam.zero_grad()
            cross_entropy(means @ weights[1].T + weights[2], labels[part]).backward()
            adam.step()
            step += 1
    found = [model.table, model.linear.weight, model.linear.bias]
    return relative_gap(found, weights)


def _refused() -> float:
    """A matrix has as many singular values as its shorter side, and no more."""
    matrix = csr_array(np.arange(15.0).reshape(5, 3) ** 2)
    wrong = gap(len(truncated_svd(matrix, 3)[1]), 3)
    for each in (matrix, csr_array(matrix.T)):
        try:
            truncated_svd(each, 4)
            wrong += 1
        except DanluError:
            pass
    return wrong


LAWS: list[Law] = [
    stated("words/decomposed", 0.0, _refused, "contract"),
    stated("words/vectors", 1e-12, _nearness, "definition"),
    stated("words/sentences", 1e-12, _sentences, "definition"),
    stated("words/subwords", 1e-12, _unknown_words, "definition"),
    stated("words/bag-classifier", 1e-10, _classifier, "definition"),
]
