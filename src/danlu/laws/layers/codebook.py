"""Laws of codebooks: nearest codes, straight-through, moving averages, revival, uniform ids."""

import math
from itertools import product

import torch
from scipy.cluster.vq import kmeans2
from scipy.stats import entropy
from torch import Tensor

from danlu.contracts import DataDescription
from danlu.estimators.straight_through import straight_through
from danlu.generative.parts.priors import UniformIds
from danlu.laws.draws import seed, standard_normal
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.diffusion.test_bed import item_noise
from danlu.laws.law import Rows, table
from danlu.layers.codebook import Codebook

CODES, DIM, N = 12, 5, 400


def codebook(decay: float = 0.95, dead_below: float = 0.0) -> Codebook:
    """A seeded codebook in training mode."""
    book = Codebook(CODES, DIM, decay=decay, dead_below=dead_below).double().train()
    book.vectors.copy_(standard_normal(CODES, DIM, stream=1))
    book.sums.copy_(book.vectors / CODES)
    return book


def nearest() -> float:
    """The nearest code is that of all distances."""
    book, z = codebook(), standard_normal(N, DIM)
    expected = (z[:, None] - book.vectors).square().sum(-1).argmin(1)
    return gap(book.nearest(z), expected)


def straight() -> float:
    """Straight-through has the value of the hard and the gradient of the soft."""
    hard, soft = standard_normal(N, DIM), standard_normal(N, DIM, stream=1).requires_grad_()
    y = straight_through(hard, soft)
    weight = standard_normal(N, DIM, stream=2)
    (found,) = torch.autograd.grad((weight * y.sin()).sum(), soft)
    return largest(gap(y, hard), gap(found, weight * hard.cos()))


def lloyd() -> float:
    """Without memory an update is one Lloyd step of k-means."""
    book, z = codebook(decay=0.0), 2 * standard_normal(N, DIM)
    expected = torch.from_numpy(kmeans2(z.numpy(), book.vectors.numpy(), iter=1, minit="matrix")[0])
    book(z.requires_grad_())
    book.update()
    return gap(book.vectors, expected)


def moving() -> float:
    """A code is the moving mean of its cell."""
    book = codebook(decay=0.8)
    mass, total = torch.full((CODES,), 1 / CODES).double(), book.sums.clone()
    for step in range(5):
        z = standard_normal(N, DIM, stream=10 + step)
        _, ids = book(z)
        for code in range(CODES):
            inside = z[ids == code]
            mass[code] = 0.8 * mass[code] + 0.2 * len(inside) / N
            total[code] = 0.8 * total[code] + 0.2 * inside.sum(0) / N
        book.update()
    return gap(book.vectors, total / mass[:, None])


def shards() -> float:
    """Summed statistics of two parts give the codes of the whole batch, revival included."""
    books, z = [codebook(dead_below=0.9) for _ in range(3)], standard_normal(N, DIM)
    whole, first, second = books
    whole(z)
    first(z[: N // 3])
    second(z[N // 3 :])
    for mine, other in zip(first.statistics(), second.statistics(), strict=True):
        mine.add_(other)
    for book in (whole, first):
        book.update()
        book.revive(seed=seed(5))
    return largest(gap(a, b) for a, b in zip(whole.buffers(), first.buffers(), strict=True))


def revived() -> float:
    """Revived codes have vectors, and the shares still sum to 1."""
    book, z = codebook(decay=0.0, dead_below=0.5), standard_normal(4000, DIM)
    book.vectors[1:] = 50.0 + standard_normal(CODES - 1, DIM, stream=4)
    book(z)
    book.update()
    before = int(book.used())
    book.revive(seed=seed(1))
    empty = CODES - len(book.nearest(z).unique())
    return gap([before, empty, book.shares.sum()], [1, 0, 1])


def spread() -> float:
    """Perplexity is the exponential of the entropy of ids."""
    book = codebook()
    ids = book.nearest(standard_normal(N, DIM))
    expected = math.exp(entropy(torch.bincount(ids, minlength=CODES).numpy()))
    return gap(book.perplexity(ids).item(), expected)


def all_ids(length: int, codes: int) -> Tensor:
    """Every sequence of ids."""
    return torch.tensor(list(product(range(codes), repeat=length)))


def uniform() -> float:
    """The probabilities of uniform ids sum to 1."""
    prior = UniformIds(DataDescription(shape=(4,), levels=3, low=0.0, high=2.0))
    ids, noise = all_ids(4, 3), item_noise(N)
    mass = prior.evidence(ids, item_noise(len(ids)), None, None).value.double().exp().sum()
    draws = prior.draw(noise, N, None, None)
    wrong = int(((draws < 0) | (draws > 2)).sum()) + 3 - len(draws.unique())
    return gap([mass, wrong], [1, 0])


_LAWS: Rows = {
    "enumeration": [
        ("codebook/nearest", 0.0, nearest),
        ("codebook/uniform", 1e-12, uniform),
    ],
    "closed form": [
        ("codebook/straight-through", 0.0, straight),
    ],
    "independent package": [
        ("codebook/lloyd", 1e-12, lloyd),
        ("codebook/perplexity", 1e-12, spread),
    ],
    "definition": [
        ("codebook/moving-average", 1e-12, moving),
    ],
    "self-consistency": [
        ("codebook/shards", 1e-12, shards),
    ],
    "contract": [
        ("codebook/revival", 1e-12, revived),
    ],
}

LAWS = table(_LAWS)
