"""Every method of word vectors finds the classes that a made-up language has."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from danlu.contracts import DanluError
from danlu.embeddings import (
    WORD_VECTORS,
    FastText,
    Sentences,
    Subwords,
    SubwordVectors,
    Vocabulary,
    WordVectors,
    count_words,
    sentence_vectors,
)

VERBS, FOODS, BEASTS = (
    ["eats", "sees", "wants"],
    ["bread", "cheese", "fruit"],
    ["cat", "dog", "hen"],
)
SMALL = {"svd-ppmi": {"power": 0.5}, "linear-autoencoder": {}}
LEARNED = {
    "skip-gram": {"epochs": 10, "rate": 0.1},
    "cbow": {"epochs": 20, "rate": 0.1},
    "fasttext": {"epochs": 10, "rate": 0.1},
    "cbow-softmax": {"epochs": 25, "rate": 0.02},
}
# Thousands of small steps are slow under the run-time check of annotations.
NAMES = [
    pytest.param(name, marks=pytest.mark.long) if name in LEARNED else name for name in WORD_VECTORS
]


@pytest.fixture(scope="module")
def language():
    random = np.random.default_rng(0)
    lines = [
        [
            "the",
            *(str(random.choice(each)) for each in (BEASTS, VERBS)),
            "some",
            str(random.choice(FOODS)),
        ]
        for _ in range(400)
    ]
    return Sentences(lines), Vocabulary.of(count_words(lines))


def fitted(name, language):
    text, vocabulary = language
    settings = {"dim": 4, **SMALL.get(name, {}), **LEARNED.get(name, {})}
    if name in LEARNED:
        settings |= {"sample": 0.0, "window": 3}
    return replace(WORD_VECTORS[name].build(), **settings).fit([text], vocabulary)


@pytest.mark.parametrize("name", NAMES)
def test_words_of_one_class_are_neighbours(name, language):
    vectors = fitted(name, language)
    for group in (VERBS, FOODS, BEASTS):
        for word in group:
            nearest = {other for other, _ in vectors.neighbours(word, 2)}
            assert nearest == {*group} - {word}, (name, word)


@pytest.mark.parametrize("name", ["svd-ppmi", "skip-gram", "cbow-softmax"])
def test_the_same_seed_gives_the_same_bits(name, language):
    text, vocabulary = language
    method = replace(
        WORD_VECTORS[name].build(), dim=4, **({"epochs": 1} if name in LEARNED else {})
    )
    first, second = (method.fit([Sentences(text.sentences[:60])], vocabulary) for _ in range(2))
    assert torch.equal(first.matrix, second.matrix)
    assert torch.isfinite(first.matrix).all()


def test_fasttext_knows_parts_of_words_it_never_saw(language):
    text, vocabulary = language
    method = FastText(dim=8, sample=0.0, epochs=1, subwords=Subwords(shortest=3))
    found = method.fit([Sentences(text.sentences[:60])], vocabulary)
    assert isinstance(found, SubwordVectors)
    assert "breads" in found
    assert found.neighbours("breads", 1)[0][0] == "bread"
    with pytest.raises(DanluError, match="no part of it is known"):
        found.vector("qqqq")


def test_a_rate_that_explodes_is_named(language):
    text, vocabulary = language
    method = replace(WORD_VECTORS["skip-gram"].build(), rate=1e30)
    with pytest.raises(DanluError, match="lower the rate"):
        method.fit([text], vocabulary)


def test_sentences_are_weighted_averages():
    matrix = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    vectors = WordVectors(["often", "rarely"], matrix, counts=torch.tensor([999, 1]))
    sentences = [["often", "rarely", "unknown"], ["unknown"], ["often"]]
    equal = sentence_vectors(vectors, sentences)
    assert equal.tolist() == [[0.5, 0.5], [0.0, 0.0], [1.0, 0.0]]
    weighted = sentence_vectors(vectors, sentences, weighting="inverse-frequency")
    often, rarely = 1e-3 / (1e-3 + 0.999), 1e-3 / 2e-3
    assert weighted[0, 0].item() == pytest.approx(often / (often + rarely), rel=1e-5)
    with pytest.raises(DanluError, match="no counts"):
        sentence_vectors(WordVectors(["a"], matrix[:1]), [["a"]], weighting="inverse-frequency")


def test_analogies_leave_the_question_out():
    matrix = torch.tensor([[1.0, 0.0, 0.1], [1.0, 1.0, 0.1], [0.0, 0.1, 1.0], [0.0, 1.1, 1.0]])
    vectors = WordVectors(["man", "king", "woman", "queen"], matrix)
    assert vectors.analogy("man", "king", "woman")[0][0] == "queen"
    assert vectors.analogies(torch.tensor([[0, 1, 2]])).tolist() == [3]
    assert len(vectors.neighbours("man", 10)) == 3
    with pytest.raises(DanluError, match="did you mean 'king'"):
        vectors.vector("kings")
