"""Texts into classes by linear means: averaged vectors, n-grams, a bag of words, naive Bayes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from danlu.contracts import DanluError, unknown
from danlu.embeddings import WordVectors, sentence_vectors
from danlu.embeddings.bag_classifier import (
    BagClassifier,
    BagTraining,
    ngram_bags,
    train_classifier,
)
from danlu.embeddings.text import running_words
from danlu.reading import lines_of, read_text

BUCKETS, DIM = 1 << 16, 20
LEAST_EXAMPLES = 10
LABEL = "__label__"


@dataclass(frozen=True, slots=True)
class Labelled:
    """Texts as words, with the number of each one's class, and the names of the classes."""

    texts: Sequence[list[str]]
    labels: Int[np.ndarray, " texts"]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]]) -> "Labelled":
        """From label and running text."""
        classes = tuple(sorted({label for label, _ in pairs}))
        labels = np.array([classes.index(label) for label, _ in pairs], dtype=np.int64)
        return cls([running_words(text) for _, text in pairs], labels, classes)

    def part(self, rows: Int[np.ndarray, " chosen"]) -> "Labelled":
        """Some of the texts."""
        return Labelled([self.texts[i] for i in rows], self.labels[rows], self.classes)

    def split(self, *, held_out: float, seed: int) -> tuple["Labelled", "Labelled"]:
        """Two parts by chance, the second with a share of the texts."""
        order = np.random.default_rng(seed).permutation(len(self.texts))
        cut = len(order) - max(1, round(held_out * len(order)))
        return self.part(order[:cut]), self.part(order[cut:])


def read_labelled(path: Path) -> Labelled:
    """A label and a text on each line: `label<TAB>text`, or fastText's `__label__name text`.

    Quotes mean nothing there, as in all tab-separated text: a csv reader would join lines by them.

    Raises:
        DanluError: a line has neither form or several labels, or there are too few lines or
            classes.
    """
    pairs = [
        _labelled(line, f"{path}, line {number}")
        for number, line in enumerate(lines_of(read_text(path)), 1)
        if line.strip()
    ]
    labelled = Labelled.of(pairs)
    if len(pairs) < LEAST_EXAMPLES or len(labelled.classes) < 2:
        raise DanluError(
            f"{path} has {len(pairs)} texts in {len(labelled.classes)} classes; a classifier needs "
            f"{LEAST_EXAMPLES} texts and 2 classes."
        )
    return labelled


def _labelled(line: str, place: str) -> tuple[str, str]:
    if not line.lstrip().startswith(LABEL):
        label, found, text = line.partition("\t")
        if not found:
            raise DanluError(f"{place}: expected `label<TAB>text` or `{LABEL}name text`.")
        return label.strip(), text
    label, *rest = line.split(maxsplit=1)
    text = rest[0] if rest else ""
    if text.startswith(LABEL):
        raise DanluError(
            f"{place} has several labels; these classifiers put a text into one class: keep one."
        )
    return label.removeprefix(LABEL), text


Predicted = Int[np.ndarray, " texts"]


def averaged(train: Labelled, test: Labelled, vectors: WordVectors | None) -> Predicted:
    """Logistic regression on the mean of each text's word vectors."""
    if vectors is None:
        raise DanluError("Averaged vectors need word vectors: give --vectors.")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    model.fit(sentence_vectors(vectors, train.texts).numpy(), train.labels)
    return model.predict(sentence_vectors(vectors, test.texts).numpy())


def ngrams(train: Labelled, test: Labelled, vectors: WordVectors | None) -> Predicted:
    """The classifier of fastText: hashed words and pairs of words, mean, softmax."""
    del vectors
    table = (torch.rand(BUCKETS, DIM, generator=torch.Generator().manual_seed(0)) - 0.5) / DIM
    model = BagClassifier(table, len(train.classes), tuned=True)
    labels = torch.from_numpy(train.labels)
    train_classifier(model, ngram_bags(train.texts, buckets=BUCKETS), labels, BagTraining(epochs=5))
    with torch.no_grad():
        return model(ngram_bags(test.texts, buckets=BUCKETS)).argmax(1).numpy()


def bag_of_words(train: Labelled, test: Labelled, vectors: WordVectors | None) -> Predicted:
    """Logistic regression on which words occur."""
    del vectors
    seen, asked = _occurrences(train, test)
    model = LogisticRegression(max_iter=1000)
    return model.fit(_presence(seen), train.labels).predict(_presence(asked))


def naive_bayes(train: Labelled, test: Labelled, vectors: WordVectors | None) -> Predicted:
    """Multinomial naive Bayes on word counts."""
    del vectors
    seen, asked = _occurrences(train, test)
    return MultinomialNB().fit(seen, train.labels).predict(asked)


CLASSIFIERS: Mapping[str, Callable[[Labelled, Labelled, WordVectors | None], Predicted]] = {
    "averaged": averaged,
    "n-grams": ngrams,
    "bag-of-words": bag_of_words,
    "naive-bayes": naive_bayes,
}
"""Classifiers that are trained on one part and predict the other."""


def accuracy(
    name: str, train: Labelled, test: Labelled, vectors: WordVectors | None = None
) -> float:
    """The share of the test texts that a classifier puts into their class.

    Raises:
        DanluError: unknown classifier, or it lacks word vectors.
    """
    if name not in CLASSIFIERS:
        raise unknown("classifier", name, CLASSIFIERS)
    return float((CLASSIFIERS[name](train, test, vectors) == test.labels).mean())


def _occurrences(train: Labelled, test: Labelled) -> tuple[csr_array, csr_array]:
    """Counts of the training texts' words in either part."""
    names = sorted({word for words in train.texts for word in words})
    index = {word: i for i, word in enumerate(names)}

    def counts(texts: Sequence[Sequence[str]]) -> csr_array:
        inside = [[index[word] for word in words if word in index] for words in texts]
        columns = np.array([i for each in inside for i in each], dtype=np.int32)
        rows = np.repeat(np.arange(len(inside)), [len(each) for each in inside])
        ones = np.ones(len(columns))
        return csr_array((ones, (rows, columns)), shape=(len(inside), max(1, len(index))))

    return counts(train.texts), counts(test.texts)


def _presence(counts: csr_array) -> csr_array:
    """1 where a word occurs, however often."""
    return csr_array(
        (np.minimum(counts.data, 1), counts.indices, counts.indptr), shape=counts.shape
    )
