r"""Laws of word vectors: optima in closed form, windows by enumeration, files bit for bit."""

import math
from collections.abc import Callable
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from scipy.sparse import csr_array
from torch.nn import functional

from danlu.embeddings import Bags, Counting, Sentences, Vocabulary, WordVectors, count_words
from danlu.embeddings.counting import count_pairs
from danlu.embeddings.encoded import encoded
from danlu.embeddings.linear_autoencoder import alternating_least_squares
from danlu.embeddings.negative_sampling import expected_objective, gradients
from danlu.embeddings.ppmi import shifted_ppmi
from danlu.embeddings.saving import load_vectors, save_vectors
from danlu.embeddings.subwords import Subwords, SubwordVectors, fnv1a
from danlu.embeddings.text import file_shards
from danlu.embeddings.truncated_svd import truncated_svd
from danlu.embeddings.windows import window_pairs
from danlu.laws.draws import numbers, seed
from danlu.laws.gaps import gap, largest, rarity, sigmas
from danlu.laws.law import Rows, table

SHIFT = 5.0


def _counts(n: int = 6) -> np.ndarray:
    """Symmetric counts, all positive."""
    half = numbers().integers(1, 50, size=(n, n))
    return (half + half.T).astype(float)


def optimum() -> float:
    """The negative-sampling objective has no slope at the shifted mutual information."""
    counts = _counts()
    noise = counts.sum(0) / counts.sum()
    pmi = np.log(counts / counts.sum(1, keepdims=True) / noise) - math.log(SHIFT)
    scores = torch.tensor(pmi, requires_grad=True)
    loss = expected_objective(scores, torch.tensor(counts), torch.tensor(noise), SHIFT)
    (slope,) = torch.autograd.grad(loss, scores)
    ppmi = shifted_ppmi(csr_array(counts), shift=SHIFT).toarray()
    return largest(gap(slope, 0.0), gap(ppmi, pmi.clip(min=0)))


def descent() -> float:
    """The directions in which vectors move are the derivatives of the summed loss."""
    torch.manual_seed(seed())
    hidden, target, noise = (torch.randn(n, 3, requires_grad=True) for n in (7, 7, 4))
    loss = -functional.logsigmoid((hidden * target).sum(1)).sum() - functional.logsigmoid(
        -hidden @ noise.T
    ).sum() * SHIFT / len(noise)
    exact = torch.autograd.grad(loss, (hidden, target, noise))
    with torch.no_grad():
        found = gradients(hidden, target, noise, SHIFT)
    return largest(gap(a, b) for a, b in zip(exact, found, strict=True))


def eckart_young() -> float:
    """The squared error of the truncated SVD is the sum of the squared values left out."""
    random = numbers()
    dense = random.normal(size=(120, 100)) @ np.diag(0.8 ** np.arange(100))
    left, values, right = truncated_svd(csr_array(dense), 8, spaces=6.0)
    tail = np.linalg.svd(dense, compute_uv=False)[8:]
    error = np.square(dense - (left * values) @ right).sum()
    return gap(error, np.square(tail).sum()) / np.square(dense).sum()


def _corpus() -> tuple[list[list[str]], Vocabulary]:
    random = numbers(3)
    sizes = random.integers(3, 9, size=60)
    lines = [["abcdefgh"[i] for i in random.integers(0, 8, size=n) ** 2 // 8] for n in sizes]
    return lines, Vocabulary.of(count_words(lines), min_count=2)


def window_weights() -> float:
    """A weight (L - distance + 1) / L is the expectation of a window of random radius."""
    window, lines = 3, [["a", "b", "a", "c"], ["c", "b", "d"]]
    vocabulary = Vocabulary.of(count_words(lines), min_count=1)
    mean = np.zeros((len(vocabulary),) * 2)
    for words in lines:
        ids = np.array([vocabulary.index[word] for word in words])
        draws = list(product(range(1, window + 1), repeat=len(words)))
        for radius in draws:
            centre, context = window_pairs(np.zeros(len(ids), dtype=int), np.array(radius))
            np.add.at(mean, (ids[centre], ids[context]), 1 / len(draws))
    counts = count_pairs([Sentences(lines)], vocabulary, Counting(window=window))
    return gap(counts.toarray() / window, mean)


def bag_of_words() -> float:
    """Summed word vectors are the bag of words times a dense layer, bit for bit."""
    torch.manual_seed(seed())
    table = torch.randint(-8, 9, (12, 5)) / 4.0  # sums of quarters are exact in any order
    bags = Bags.of([[0, 3, 3, 11], [], [7], [1, 2, 4, 4, 4]])
    counts = torch.zeros(len(bags), len(table))
    counts.index_put_((bags.owner, bags.rows), torch.tensor(1.0), accumulate=True)
    return gap(bags.total(table), counts @ table)


def autoencoder() -> float:
    """The optimum of the linear autoencoder is the truncated SVD, and a point without slope."""
    random = numbers()
    # Orthonormal factors: each sweep shrinks the error by 0.8^2, whatever was drawn.
    left, right = (np.linalg.qr(random.normal(size=(n, 25)))[0] for n in (30, 25))
    dense = (left * 0.8 ** np.arange(25)) @ right.T
    encoder, decoder = alternating_least_squares(csr_array(dense), 4, sweeps=150)
    left, values, right = np.linalg.svd(dense)
    exact = (left[:, :4] * values[:4]) @ right[:4]
    variables = [torch.tensor(v.copy(), requires_grad=True) for v in (encoder, decoder)]
    loss = (torch.tensor(dense) - torch.tensor(dense) @ variables[0] @ variables[1]).square().sum()
    slopes = torch.autograd.grad(loss, variables)
    distance = gap(dense @ encoder @ decoder, exact)
    return largest(distance, *(gap(slope, 0.0) for slope in slopes))


def _different(a: csr_array, b: csr_array) -> float:
    return gap(a.toarray(), b.toarray())


def spilled() -> float:
    """Counts spilled to disk are the counts in memory."""
    lines, vocabulary = _corpus()
    shards = [Sentences([line], key) for key, line in enumerate(lines)]
    whole = count_pairs(shards, vocabulary, Counting(sample=0.05))
    with TemporaryDirectory() as name:
        options = Counting(sample=0.05, entries=20, folder=Path(name))
        found = count_pairs(shards, vocabulary, options)
        assert len(list(Path(name).glob("*.npy"))) > 3, "nothing was spilled"
        return _different(whole, csr_array(found.toarray()))


def _through_files(measure: Callable[[Path, list[list[str]], Vocabulary], float]) -> float:
    lines, vocabulary = _corpus()
    with TemporaryDirectory() as name:
        path = Path(name) / "text"
        path.write_text("\n".join(map(" ".join, lines)))
        return measure(path, lines, vocabulary)


def shards() -> float:
    """Largest difference of the counts of 1 shard and of other cuts into ranges of bytes."""

    def measure(path: Path, lines: list[list[str]], vocabulary: Vocabulary) -> float:
        options = Counting(sample=0.05, seed=seed(4))
        whole = count_pairs(file_shards([path]), vocabulary, options)
        read = [[*words] for _, words in file_shards([path])[0].lines()]
        assert read == lines
        size = path.stat().st_size
        cuts = [file_shards([path], shards=n) for n in (2, 3, 7, 40, size)]
        counts = [count_pairs(cut, vocabulary, options) for cut in cuts]
        return largest(_different(whole, each) for each in counts)

    return _through_files(measure)


def thinning() -> float:
    """Each word is kept as often as its probability says, in standard errors."""
    lines = [["a"] * 9 + ["b"] * 3 + ["c"] for _ in range(3000)]
    vocabulary = Vocabulary.of(count_words(lines))
    keep = np.minimum(1.0, np.sqrt(0.1 / np.array([9, 3, 1]) * 13))
    (text,) = encoded(Sentences(lines), vocabulary)
    left = text.subsampled(vocabulary.keep_probability(0.1), seed=seed(1))
    kept = np.bincount(left.ids, minlength=3)
    rows = zip(kept, vocabulary.counts, keep, strict=True)
    return largest(rarity(int(k), int(n), float(p)) for k, n, p in rows)


def files() -> float:
    """Vectors return from every file format bit for bit."""
    words = ["a", "naïve", "水", "it's"]
    counts = torch.tensor([4, 3, 2, 1])
    known = WordVectors(words, torch.randn(4, 7, dtype=torch.float32), counts=counts)
    subwords = Subwords(buckets=1000)
    rows = torch.randn(3, 7, dtype=torch.float32)
    parts = SubwordVectors(known, subwords, torch.tensor([1, 5, 9]), rows)
    wrong = 0.0
    with TemporaryDirectory() as name:
        for form, file in (("danlu", "d"), ("word2vec", "w.txt"), ("word2vec-binary", "w.bin")):
            path = Path(name) / file
            save_vectors(parts, path, form=form)
            read = load_vectors(path)
            wrong += gap(read.matrix, known.matrix) + (list(read.words) != words)
        back = load_vectors(Path(name) / "d")
    assert isinstance(back, SubwordVectors)
    assert back.counts is not None
    return wrong + gap([back.rows, back.counts], [rows, counts]) + (back.subwords != subwords)


def known_hashes() -> float:
    """Published values of 32-bit FNV-1a that are missed."""
    known = {b"": 0x811C9DC5, b"a": 0xE40C292C, b"b": 0xE70C2DE5, b"foobar": 0xBF9CF968}
    return gap(fnv1a(list(known)).astype(np.int64), np.array(list(known.values())))


_LAWS: Rows = {
    "closed form": [
        ("words/negative-sampling-optimum", 1e-10, optimum),
    ],
    "automatic differentiation": [
        ("words/skip-gram-cbow-fasttext-descent", 1e-12, descent),
    ],
    "independent package": [
        ("words/svd-ppmi-eckart-young", 1e-10, eckart_young),
        ("words/linear-autoencoder", 1e-9, autoencoder),
    ],
    "enumeration": [
        ("words/window-weights", 1e-12, window_weights),
    ],
    "definition": [
        ("words/cbow-softmax-bag-of-words", 0.0, bag_of_words),
    ],
    "self-consistency": [
        ("words/spilled", 0.0, spilled),
        ("words/shards", "any cut into shards gives the counts of the whole", 0.0, shards),
    ],
    "statistics": [
        ("words/subsampling", sigmas(3), thinning),
    ],
    "contract": [
        ("words/files", 0.0, files),
    ],
    "golden value": [
        ("words/hash", "n-grams are hashed by FNV-1a, as published", 0.0, known_hashes),
    ],
}

LAWS = table(_LAWS)
