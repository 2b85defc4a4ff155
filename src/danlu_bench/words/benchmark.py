"""Word vectors on the Brown corpus: relatedness, similarity and analogies beside CPU seconds.

The sets of pairs and questions come from the installed gensim. Then texts: film snippets in two
classes, from `corpora/movieReviewSnippets_GroundTruth.txt` (in the archive of ratings that PyPI's
source package vaderSentiment 2.5 brings). Settings were looked at on these very pairs.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import torch

from danlu.applications.words.fitting import method_with
from danlu.applications.words.scoring import gensim_file, scores
from danlu.applications.words.sentiment import sentiment
from danlu.contracts import DanluError
from danlu.embeddings import Shard, Vocabulary, WordVectors, count_words
from danlu_bench.brown import brown_shards
from danlu_bench.words.page import CLOSE, closeness, page

MIN_COUNT = 5
LEAST_SPEEDUP = 5.0

SGNS = {"dim": "100", "window": "5", "negatives": "5", "epochs": "10"}
Rows = Sequence[tuple[str, str, Mapping[str, str]]]
ROWS: Rows = (
    ("SVD, k=1, α=1, p=0", "svd-ppmi", {}),
    ("SVD, k=1, α=1, p=½", "svd-ppmi", {"power": "0.5"}),
    ("SVD, k=1, α=1, p=1", "svd-ppmi", {"power": "1"}),
    ("SVD, k=5, α=¾, p=0", "svd-ppmi", {"shift": "5", "smoothing": "0.75"}),
    ("SVD, k=5, α=¾, p=½", "svd-ppmi", {"shift": "5", "smoothing": "0.75", "power": "0.5"}),
    ("SVD, window 2, p=0", "svd-ppmi", {"window": "2"}),
    ("linear autoencoder", "linear-autoencoder", {}),
    ("skip-gram, 10 epochs", "skip-gram", SGNS),
    ("CBOW, 10 epochs", "cbow", SGNS),
    ("fastText, 5 epochs", "fasttext", {**SGNS, "epochs": "5"}),
    # A softmax over 14,000 words at each of a million takes minutes: frequent ones are thinned out.
    (
        "CBOW with softmax, t=1e-4, 3 epochs",
        "cbow-softmax",
        {"epochs": "3", "sample": "1e-4", "rate": "5e-3"},
    ),
)

Report = Callable[[str], None]


def run(report: Report, *, folder: Path | None = None) -> dict[str, Any]:
    """Every method of word vectors on the Brown corpus, then texts classified with them."""
    figures, fitted = compared(ROWS, report)
    close = closeness(figures) <= CLOSE
    figures |= sentiment(fitted[ROWS[0][0]], brown_shards(), report)
    report(f"written: {page(figures, folder)}")
    return {**figures, "holds": figures["holds"] and close}


def compared(rows: Rows, report: Report) -> tuple[dict[str, Any], dict[str, WordVectors]]:
    """Methods, the decomposition first, beside gensim's skip-gram; and their vectors.

    `holds` says whether the decomposition is at least as good and so much faster.
    """
    if gensim_file("wordsim353.tsv") is None:
        raise DanluError("The sets of pairs come with gensim: pip install gensim.")
    brown = brown_shards()
    began = process_time()
    vocabulary = Vocabulary.of(
        count_words(words for shard in brown for _, words in shard.lines()), min_count=MIN_COUNT
    )
    reading = process_time() - began
    report(f"Brown: {vocabulary.counts.sum():,} words of {len(vocabulary):,} kinds")
    fitted, found = {}, []
    for label, method, settings in rows:
        began = process_time()
        vectors = method_with(method, settings).fit(brown, vocabulary)
        found.append(_row(label, vectors, reading + process_time() - began, report))
        fitted[label] = vectors
    peer = _gensim(brown, report)
    speedup = peer["seconds"] / found[0]["seconds"]
    report(f"SVD takes {speedup:.1f} times less CPU time than gensim's skip-gram")
    holds = speedup >= LEAST_SPEEDUP and found[0]["WS-353"] >= peer["WS-353"]
    return {"vectors": found, "peer": peer, "speedup": speedup, "holds": holds}, fitted


def _row(label: str, vectors: WordVectors, seconds: float, report: Report) -> dict[str, Any]:
    found = {name: score.value for name, score in scores(vectors).items()}
    row = {"method": label, "seconds": seconds, **found}
    figures = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
    report(f"{label}: {seconds:.1f} s, {figures}")
    return row


def _gensim(brown: Sequence[Shard], report: Report) -> dict[str, Any]:
    """gensim's skip-gram at the settings of ours, one worker."""  # noqa: D403
    from gensim.models import Word2Vec  # pyright: ignore[reportMissingImports]

    lines = [list(words) for shard in brown for _, words in shard.lines()]
    began = process_time()
    model = Word2Vec(
        lines, vector_size=100, window=5, min_count=MIN_COUNT, sg=1, negative=5, epochs=10,
        seed=1, workers=1,
    )  # fmt: skip
    seconds = process_time() - began
    matrix = torch.from_numpy(model.wv.vectors)
    vectors = WordVectors([str(word) for word in model.wv.index_to_key], matrix)
    return _row("gensim's skip-gram, 10 epochs", vectors, seconds, report)
