"""Word vectors against gensim: files in both directions, n-gram hashes, and skip-gram's figures."""

import numpy as np
import pytest
import torch
from gensim.models import KeyedVectors, Word2Vec
from gensim.models.fasttext_inner import compute_ngrams, ft_hash_bytes
from scipy.sparse import random_array
from scipy.sparse.linalg import svds

from danlu.applications.words.scoring import PAIR_SETS, gensim_file, read_pairs, score_pairs
from danlu.embeddings import (
    SkipGram,
    Subwords,
    Vocabulary,
    WordVectors,
    file_shards,
    load_vectors,
    save_vectors,
)
from danlu.embeddings.subwords import fnv1a
from danlu.embeddings.text import words_in
from danlu.embeddings.truncated_svd import truncated_svd

pytestmark = pytest.mark.long

WORDS = ["the", "naïve", "水", "well-known"]


@pytest.mark.parametrize(("form", "name"), [("word2vec", "v.txt"), ("word2vec-binary", "v.bin")])
def test_gensim_reads_ours_and_we_read_gensim_s(form, name, tmp_path):
    binary = name.endswith(".bin")
    ours = WordVectors(WORDS, torch.randn(4, 6))
    save_vectors(ours, tmp_path / name, form=form)
    theirs = KeyedVectors.load_word2vec_format(str(tmp_path / name), binary=binary)
    assert theirs.index_to_key == WORDS
    assert np.array_equal(theirs.vectors, ours.matrix.numpy())
    theirs.save_word2vec_format(str(tmp_path / f"gensim-{name}"), binary=binary)
    back = load_vectors(tmp_path / f"gensim-{name}")
    assert list(back.words) == WORDS
    assert torch.equal(back.matrix, ours.matrix)


def test_n_grams_and_their_hashes_are_gensim_s():
    subwords = Subwords()
    for word in ("where", "a", "internationalisation"):
        assert sorted(subwords.ngrams(word)) == sorted(compute_ngrams(word, 3, 6))
        grams = [gram.encode() for gram in subwords.ngrams(word)]
        assert fnv1a(grams).tolist() == [ft_hash_bytes(gram) for gram in grams]


def test_singular_values_are_scipy_s():
    matrix = random_array((300, 200), density=0.05, format="csr", rng=np.random.default_rng(0))
    left, values, right = truncated_svd(matrix, 10, spaces=20.0)
    exact = svds(matrix, 10, return_singular_vectors=False)
    assert values == pytest.approx(np.sort(exact)[::-1], abs=1e-8)
    assert np.abs(left.T @ left - np.eye(10)).max() < 1e-10
    assert np.abs(right @ right.T - np.eye(10)).max() < 1e-10


def test_skip_gram_at_equal_settings_reaches_gensim_s_figure():
    """On the 60,000 words of the Lee corpus both are noisy: means of three seeds are compared."""
    shards = file_shards([gensim_file("lee_background.cor")])
    vocabulary = Vocabulary.of(words_in(shards[0]))
    lines = [list(words) for _, words in shards[0].lines()]
    pairs = read_pairs(gensim_file(PAIR_SETS["WS-353"]))
    ours, theirs = [], []
    for seed in (1, 2, 3):
        vectors = SkipGram(dim=50, epochs=10, seed=seed).fit(shards, vocabulary)
        ours.append(score_pairs(vectors, pairs).value)
        model = Word2Vec(
            lines, vector_size=50, sg=1, negative=5, epochs=10, seed=seed, workers=1, min_count=5
        )
        words = [str(word) for word in model.wv.index_to_key]
        matrix = torch.from_numpy(model.wv.vectors)
        theirs.append(score_pairs(WordVectors(words, matrix), pairs).value)
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=0.03 + 2 * np.std(theirs))
