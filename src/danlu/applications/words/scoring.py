"""Word vectors against people's judgements: rated pairs, and analogies.

A file of pairs has two words and a number on each line, as WordSim-353 and SimLex-999; a file of
questions has four words, as word2vec's `questions-words.txt`, with `: name` before each section.
These three come with gensim and are read from it where it is installed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from scipy.stats import spearmanr

from danlu.contracts import DanluError
from danlu.embeddings import WordVectors
from danlu.reading import lines_of, read_text

PAIR_SETS = {"WS-353": "wordsim353.tsv", "SimLex-999": "simlex999.txt"}
QUESTION_SETS = {"analogies": "questions-words.txt"}
FEWEST = 3
"""Pairs below which a rank correlation says nothing."""

Pair = tuple[str, str, float]


@dataclass(frozen=True, slots=True)
class Score:
    """A figure, and how much of the set it rests on."""

    value: float
    covered: int
    total: int


def gensim_file(name: str) -> Path | None:
    """A file among gensim's test data; None where gensim is not installed."""
    found = find_spec("gensim")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "test" / "test_data" / name
    return path if path.exists() else None


def known_sets(names: Mapping[str, str]) -> dict[str, Path]:
    """Those of some sets that are here."""
    found = {name: gensim_file(file) for name, file in names.items()}
    return {name: path for name, path in found.items() if path is not None}


def read_pairs(path: Path) -> list[Pair]:
    """Two words and a rating on each line, between tabs, commas or spaces; `#` begins a comment.

    Raises:
        DanluError: a line behind the first is of another form.
    """
    pairs: list[Pair] = []
    for number, line in enumerate(lines_of(read_text(path)), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.replace(",", " ").split()
        try:
            pairs.append((fields[0], fields[1], float(fields[2])))
        except (IndexError, ValueError):
            if number > 1:  # the first may be a heading
                raise DanluError(
                    f"{path}, line {number}: expected two words and a number, got {line!r}."
                ) from None
    return pairs


def read_questions(path: Path) -> list[tuple[str, str, str, str]]:
    """Four words on each line, b is to a as d to c.

    Raises:
        DanluError: a line is of another form.
    """
    questions: list[tuple[str, str, str, str]] = []
    for number, line in enumerate(lines_of(read_text(path)), 1):
        words = line.split()
        if not words or words[0] == ":":
            continue
        if len(words) != 4:
            raise DanluError(f"{path}, line {number}: expected four words, got {line!r}.")
        questions.append((words[0], words[1], words[2], words[3]))
    return questions


def score_pairs(vectors: WordVectors, pairs: Sequence[Pair]) -> Score:
    """Spearman's rank correlation of cosine and rating over the pairs whose words are known.

    Raises:
        DanluError: hardly any pair is known.
    """
    spelled = [(_spelled(vectors, a), _spelled(vectors, b), rating) for a, b, rating in pairs]
    known = [(a, b, rating) for a, b, rating in spelled if a in vectors and b in vectors]
    if len(known) < FEWEST:
        raise DanluError(f"Only {len(known)} of {len(pairs)} pairs are in the vocabulary.")
    cosines = [vectors.similarity(a, b) for a, b, _ in known]
    value = spearmanr(cosines, [rating for *_, rating in known]).statistic  # pyright: ignore
    return Score(float(value), len(known), len(pairs))


def score_questions(vectors: WordVectors, questions: Sequence[tuple[str, str, str, str]]) -> Score:
    """The share of analogies whose first answer is right, among those whose words are known.

    Raises:
        DanluError: none is known.
    """
    index = vectors.index
    spelled = [[_spelled(vectors, word) for word in question] for question in questions]
    rows = [[index[word] for word in each] for each in spelled if all(w in index for w in each)]
    if not rows:
        raise DanluError(f"None of {len(questions)} questions is in the vocabulary.")
    asked = torch.tensor(rows)
    right = (vectors.analogies(asked[:, :3]) == asked[:, 3]).double().mean()
    return Score(float(right), len(rows), len(questions))


def _spelled(vectors: WordVectors, word: str) -> str:
    return word if word in vectors.index else word.lower()


def scores(
    vectors: WordVectors, *, pairs: Path | None = None, questions: Path | None = None
) -> dict[str, Score]:
    """Every set that is asked for; without any, those that come with gensim.

    Raises:
        DanluError: there is none, or too little of one is known.
    """
    own = pairs is not None or questions is not None
    rated = {} if own else known_sets(PAIR_SETS)
    asked = {} if own else known_sets(QUESTION_SETS)
    if pairs is not None:
        rated = {pairs.name: pairs}
    if questions is not None:
        asked = {questions.name: questions}
    if not rated and not asked:
        raise DanluError("Nothing to compare with: give --pairs FILE, or install gensim.")
    found = {name: score_pairs(vectors, read_pairs(path)) for name, path in rated.items()}
    return found | {
        name: score_questions(vectors, read_questions(path)) for name, path in asked.items()
    }
