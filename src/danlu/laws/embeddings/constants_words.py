"""Constants of word vectors, beside the numbers that their sources print."""

from inspect import signature

import numpy as np
import torch

from danlu.embeddings import Vocabulary, WordVectors
from danlu.embeddings.bag_classifier import BagTraining, ngram_bags
from danlu.embeddings.cbow import Cbow
from danlu.embeddings.cbow_softmax import CbowSoftmax
from danlu.embeddings.counting import Counting
from danlu.embeddings.encoded import Encoded
from danlu.embeddings.fasttext import FastText
from danlu.embeddings.linear_autoencoder import LinearAutoencoder, alternating_least_squares
from danlu.embeddings.negative_sampling import LEAST_RATE, SMOOTHING
from danlu.embeddings.sentences import smooth_inverse_frequency
from danlu.embeddings.skip_gram import SkipGram
from danlu.embeddings.subwords import Subwords
from danlu.embeddings.svd_ppmi import SvdPpmi
from danlu.embeddings.truncated_svd import truncated_svd
from danlu.laws.constants import golden_law
from danlu.laws.law import Law

SEEDED = (SvdPpmi, LinearAutoencoder, CbowSoftmax, SkipGram, Counting, BagTraining)
VOCABULARY = Vocabulary(("the", "cat"), np.array([9900, 100]))


def _splitmix(seed: int, count: int) -> list[float]:
    """Numbers in [0, 1) of the published generator, in Python's whole numbers."""
    mask, numbers = 2**64 - 1, []

    def mixed(z: int) -> int:
        z = (z + 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    assert mixed(0) == 0xE220A8397B1DCDAF  # the first output for seed 0, as published
    start = mixed((3 + mixed(seed)) & mask)
    for position in range(count):
        state = (start + position * 0x9E3779B97F4A7C15) & mask
        numbers.append((mixed(state) >> 11) * 2.0**-53)
    return numbers


def _drawn() -> list[float]:
    text = Encoded(np.zeros(4, int), np.array([4]), np.array([3], dtype=np.uint64))
    return text.uniform(7).tolist()


def _weights() -> torch.Tensor:
    counts = torch.from_numpy(VOCABULARY.counts)
    return smooth_inverse_frequency(WordVectors(["the", "cat"], torch.zeros(2, 1), counts=counts))


WORDS = golden_law(
    "words/constants",
    "word vectors are trained by the numbers of their sources",
    [
        ("noise distribution, arXiv:1310.4546 sec. 2.2: power 3/4", lambda: SMOOTHING, 0.75),
        ("word2vec.c: the rate falls to a ten-thousandth", lambda: LEAST_RATE, 1e-4),
        (
            "word2vec.c: size, window, negatives, epochs, rate, sample",
            lambda: [
                SkipGram().dim,
                SkipGram().window,
                SkipGram().negatives,
                SkipGram().epochs,
                SkipGram().rate,
                SkipGram().sample,
            ],
            [100, 5, 5, 5, 0.025, 1e-3],
        ),
        ("word2vec.c: rate of CBOW", lambda: Cbow().rate, 0.05),
        (
            "arXiv:1310.4546 eq. 5: sqrt(t / f) at t = 1e-3",
            lambda: VOCABULARY.keep_probability(1e-3).tolist(),
            [(1e-3 / 0.99) ** 0.5, 0.1**0.5],
        ),
        (
            "ten neighbours, and an analogy's best answer alone, as documented",
            lambda: [
                signature(call).parameters["n"].default
                for call in (WordVectors.neighbours, WordVectors.analogy)
            ],
            [10, 1],
        ),
        (
            "words that are rarer than five are left out",
            lambda: Vocabulary.of({"often": 5, "seldom": 4}).counts.tolist(),
            [5],
        ),
        (
            "fastText, arXiv:1607.04606 sec. 4: n-grams of 3 to 6 in two million buckets, rate",
            lambda: [
                Subwords().shortest,
                Subwords().longest,
                Subwords().buckets,
                FastText().rate,
            ],
            [3, 6, 2_000_000, 0.05],
        ),
        (
            "arXiv:1607.04606 sec. 3.2: the five n-grams of where with n = 3, and n from 3 to 6",
            lambda: [
                len(Subwords(shortest=3, longest=3).ngrams("where")),
                len(Subwords().ngrams("where")),
            ],
            [5, 5 + 4 + 3 + 2],
        ),
        (
            "sentences, Arora et al. 2017 eq. 1: a = 1e-3",
            _weights,
            torch.tensor([1e-3 / 0.991, 1e-3 / 0.011], dtype=torch.float64),
        ),
        (
            "PPMI by Levy & Goldberg 2015: no shift, no smoothing, no singular values; window 5",
            lambda: [
                SvdPpmi().dim,
                SvdPpmi().shift,
                SvdPpmi().smoothing,
                SvdPpmi().power,
                Counting().window,
                Counting().sample,
            ],
            [100, 1.0, 1.0, 0.0, 5, 0.0],
        ),
        (
            "CBOW with a softmax as documented",
            lambda: [
                CbowSoftmax().dim,
                CbowSoftmax().window,
                CbowSoftmax().epochs,
                CbowSoftmax().rate,
                CbowSoftmax().sample,
            ],
            [100, 5, 5, 2e-3, 1e-3],
        ),
        (
            "a linear autoencoder as documented, its decomposition from the start 0",
            lambda: [
                LinearAutoencoder().dim,
                LinearAutoencoder().shift,
                LinearAutoencoder().smoothing,
                LinearAutoencoder().sweeps,
                signature(alternating_least_squares).parameters["seed"].default,
                signature(truncated_svd).parameters["seed"].default,
                signature(truncated_svd).parameters["spaces"].default,
            ],
            [100, 1.0, 1.0, 10, 0, 0, 5.0],
        ),
        (
            "whatever is random starts from the seed 0",
            lambda: [made().seed for made in SEEDED],
            [0] * len(SEEDED),
        ),
        (
            "classifiers of bags as documented",
            lambda: [
                BagTraining().epochs,
                BagTraining().rate,
                signature(ngram_bags).parameters["longest"].default,
                signature(ngram_bags).parameters["buckets"].default,
            ],
            [10, 0.01, 2, 65536],
        ),
        (
            "SplitMix64, doi:10.1145/2660193.2660195, in whole numbers of Python",
            _drawn,
            _splitmix(7, 4),
        ),
    ],
)


LAWS: list[Law] = [WORDS]
