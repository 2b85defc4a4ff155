"""Multi-label losses on text: which of 1,000 words occur in a passage.

A passage is 20 consecutive words of the Brown corpus, of those that occur at least five times. It
is read as the sum of word vectors that are trained from random ones, then a linear layer; the
classes are 1,000 words in a row by frequency. Three ranges of ranks make three levels of imbalance.
All losses train the same network with the same steps, batches and rate of AdamW; passages to test
on come from other files of the corpus.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from danlu.contracts import derive_seed
from danlu.embeddings import Vocabulary, count_words
from danlu_bench.brown import BROWN, brown_parts
from danlu_bench.multilabel import CLAIM, LOSSES, OPTIONS, SHOWN, fit, judge, rows_of, verdict
from danlu_bench.page import curves, write_page

CLASSES, PASSAGE, WIDTH, SPREAD = 1000, 20, 128, 0.3
STEPS, BATCH, SEED, TESTED, MIN_COUNT = 600, 64, 0, 1000, 5
TRAINING = replace(OPTIONS, rate=2e-2)
FIRST = (0, 1000, 4000)
"""The first rank of each range of classes."""


@dataclass(frozen=True, slots=True)
class Passages:
    """Passages at random places of a text.

    Attributes:
        ids: the words of the text by rank.
        classes: the ranks that are asked for.
    """

    ids: Int[Tensor, " length"]
    classes: range

    def draw(
        self, n: int, generator: torch.Generator
    ) -> tuple[Int[Tensor, "n passage"], Float[Tensor, "n classes"]]:
        """Passages, and which classes occur in them."""
        starts = torch.randint(len(self.ids) - PASSAGE, (n, 1), generator=generator)
        ids = self.ids[starts + torch.arange(PASSAGE)]
        asked = (ids >= self.classes.start) & (ids < self.classes.stop)
        t = torch.zeros(n, len(self.classes) + 1)
        t.scatter_(1, torch.where(asked, ids - self.classes.start, len(self.classes)), 1.0)
        return ids, t[:, :-1]


class SumOfWords(nn.Module):
    """The sum of the vectors of a passage's words, and scores of classes."""

    def __init__(self, words: int, classes: int) -> None:
        super().__init__()
        self.vectors = nn.EmbeddingBag(words, WIDTH, mode="sum")
        nn.init.normal_(self.vectors.weight, std=SPREAD)
        self.scores = nn.Linear(WIDTH, classes)

    def forward(self, ids: Int[Tensor, "batch passage"]) -> Float[Tensor, "batch classes"]:
        """Scores of the classes."""
        return self.scores(self.vectors(ids))


def run(
    report: Callable[[str], None],
    *,
    steps: int = STEPS,
    corpus: Path = BROWN,
    first: tuple[int, ...] = FIRST,
    classes: int = CLASSES,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Train every loss at every level, and write the page."""
    parts = brown_parts(corpus)
    vocabulary = Vocabulary.of(count_words(parts), min_count=MIN_COUNT)
    texts = [
        torch.tensor([i for word in part if (i := vocabulary.index.get(word)) is not None])
        for part in parts
    ]
    levels: dict[str, dict[str, dict[str, float]]] = {}
    shares = []
    for rank in first:
        asked = range(rank, rank + classes)
        training, test = (Passages(text, asked) for text in texts)
        x, t = test.draw(TESTED, torch.Generator().manual_seed(derive_seed(0, "test")))
        shares.append(t.mean().item())
        level = f"words {rank + 1:,} to {rank + classes:,}, {t.sum(1).mean():.2f} of them"
        levels[level] = {}
        for name in LOSSES:
            row = _row(training, (x, t), name, words=len(vocabulary), steps=steps)
            levels[level][name] = row
            report(f"{level}, {name}: " + ", ".join(f"{key} {row[key]:.3f}" for key in SHOWN[:3]))
    lines = _page(levels, steps, len(vocabulary))
    page = write_page("word-occurrence", lines, _pictures(levels, shares), folder)
    report(f"written: {page}")
    return {"levels": levels, "shares": shares}


def _row(
    passages: Passages, test: tuple[Tensor, Tensor], name: str, *, words: int, steps: int
) -> dict[str, float]:
    generator = torch.Generator().manual_seed(derive_seed(SEED, "passages"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = SumOfWords(words, len(passages.classes))
    fit(network, lambda: passages.draw(BATCH, generator), name, steps, TRAINING)
    with torch.no_grad():
        return judge(network(test[0]), test[1], name)


def _page(levels: dict[str, dict[str, dict[str, float]]], steps: int, words: int) -> list[str]:
    lines = [
        "# Which of 1,000 words occur",
        "\nCommand: `OMP_NUM_THREADS=1 danlu bench word-occurrence`. Passages of "
        f"{PASSAGE} words of the Brown corpus ({words:,} kinds); from the sum of {WIDTH} numbers "
        f"for each word a linear layer tells which of {CLASSES:,} words occur; {steps} steps of "
        f"{BATCH} passages, rate {TRAINING.rate:g} of AdamW for all, seed {SEED}, "
        f"{TESTED:,} passages of held-out files. Sets are predicted at each loss's own threshold; "
        "focal and asymmetric loss have the numbers of their papers.",
        *CLAIM,
        *verdict(levels),
    ]
    for level, rows in levels.items():
        lines += [f"\n## {level.capitalize()} in a passage\n", *rows_of(rows, SHOWN)]
    return lines


def _pictures(
    levels: dict[str, dict[str, dict[str, float]]], shares: list[float]
) -> dict[str, Any]:
    return {
        key: curves(
            {name: (shares, [rows[name][key] for rows in levels.values()]) for name in LOSSES},
            "share of classes that are right", key.replace("-", " "), log=True,
        )
        for key in ("mean-average-precision", "micro-f1")
    }  # fmt: skip
