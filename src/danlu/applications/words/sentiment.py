"""The part of the benchmark that classifies film snippets as praise or blame.

It measures the claim of kexue.fm/archives/4233 that averaged word vectors reach about 85 %, beside
n-grams, a bag of words and naive Bayes; and what frozen, pre-trained and random vectors are worth
when few texts have labels.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from danlu.applications.words.classification import CLASSIFIERS, Labelled, accuracy
from danlu.contracts import DanluError
from danlu.embeddings import (
    Bags,
    Sentences,
    Shard,
    SvdPpmi,
    Vocabulary,
    WordVectors,
    count_words,
)
from danlu.embeddings.bag_classifier import BagClassifier, BagTraining, train_classifier
from danlu.reading import lines_of, read_text

SNIPPETS = Path("corpora/movieReviewSnippets_GroundTruth.txt")
CLEAR = 0.5
"""Ratings nearer to 0 than this belong to neither class."""
HELD_OUT, SEED = 0.1, 0
SIZES = (50, 200, 1000, 5000)
SEEDS = 3
MIN_COUNT = 2


def read_snippets(path: Path) -> Labelled:
    """Snippets with a clear rating: number, rating and text between tabs.

    Raises:
        DanluError: the file is not there, or a line has another form.
    """
    if not path.exists():
        raise DanluError(
            f"{path} is not here: `pip download --no-deps --no-binary :all: vaderSentiment==2.5`, "
            "and unpack it and the hutto_ICWSM_2014.tar.gz inside it."
        )
    pairs = []
    for number, line in enumerate(lines_of(read_text(path)), 1):
        if not line.strip():
            continue
        fields = line.split("\t")
        try:
            rating, text = float(fields[1]), fields[2]
        except (IndexError, ValueError):
            raise DanluError(f"{path}, line {number}: expected number, rating, text.") from None
        if abs(rating) >= CLEAR:
            pairs.append(("praise" if rating > 0 else "blame", text))
    return Labelled.of(pairs)


def sentiment(
    brown: WordVectors, corpus: Sequence[Shard], report: Callable[[str], None]
) -> dict[str, Any]:
    """Accuracies of every classifier, and of embeddings on small sets."""
    snippets = read_snippets(SNIPPETS)
    train, test = snippets.split(held_out=HELD_OUT, seed=SEED)
    report(f"snippets: {len(train.texts)} to learn from, {len(test.texts)} held out")
    # Unlabelled text is free: the snippets, training and test, without their classes, and Brown.
    own = _vectors(snippets.texts, corpus)
    found = {f"averaged vectors of Brown ({len(brown):,} words)": ("averaged", brown)}
    found |= {"averaged vectors of Brown and all snippets": ("averaged", own)}
    found |= {name: (name, None) for name in CLASSIFIERS if name != "averaged"}
    figures = {}
    for label, (name, vectors) in found.items():
        figures[label] = accuracy(name, train, test, vectors)
        report(f"{label}: {figures[label]:.1%}")
    return {"classifiers": figures, "small": small_sets(own, train, test, report)}


def _vectors(texts: Sequence[Sequence[str]], corpus: Sequence[Shard]) -> WordVectors:
    shards = [*corpus, Sentences(texts, 1 << 60)]
    lines = (words for shard in shards for _, words in shard.lines())
    return SvdPpmi().fit(shards, Vocabulary.of(count_words(lines), min_count=MIN_COUNT))


def small_sets(
    vectors: WordVectors, train: Labelled, test: Labelled, report: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Test and training accuracy by number of texts and by what is done with the rows."""
    pretrained = vectors.matrix / vectors.matrix.square().mean().sqrt()
    rows = []
    for size in SIZES:
        for kind, tuned in (("frozen", False), ("pre-trained", True), ("random", True)):
            results = []
            for seed in range(SEEDS):
                generator = torch.Generator().manual_seed(seed)
                table = pretrained
                if kind == "random":
                    table = torch.randn(pretrained.shape, generator=generator)
                order = np.random.default_rng(seed).permutation(len(train.texts))[:size]
                model = BagClassifier(table, len(train.classes), tuned=tuned)
                part = train.part(order)
                labels = torch.from_numpy(part.labels)
                bags = _bags(vectors, part.texts)
                train_classifier(model, bags, labels, BagTraining(seed=seed))
                results.append([_share(model, bags, labels), _test(model, vectors, test)])
            training, tested = np.mean(results, axis=0).tolist()
            rows.append({"texts": size, "rows": kind, "test": tested, "training": training})
            report(f"{size} texts, {kind}: test {tested:.1%}, training {training:.1%}")
    return rows


def _bags(vectors: WordVectors, texts: Sequence[Sequence[str]]) -> Bags:
    index = vectors.index
    return Bags.of([[index[word] for word in words if word in index] for words in texts])


def _test(model: BagClassifier, vectors: WordVectors, test: Labelled) -> float:
    return _share(model, _bags(vectors, test.texts), torch.from_numpy(test.labels))


def _share(model: BagClassifier, bags: Bags, labels: Tensor) -> float:
    with torch.no_grad():
        return float((model(bags).argmax(1) == labels).double().mean())
