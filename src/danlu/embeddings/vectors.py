"""Word vectors: looked up, compared, and asked for neighbours and analogies."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from danlu.contracts import DanluError, unknown


class WordVectors:
    """A vector for each word.

    Args:
        words: every word once, in the order of the rows.
        matrix: their vectors.
        counts: how often each occurred in training, where it is known.
        notices: what a person should know of the file that they came from.
    """

    def __init__(
        self,
        words: Sequence[str],
        matrix: Float[Tensor, "vocab dim"],
        *,
        counts: Int[Tensor, " vocab"] | None = None,
        notices: Sequence[str] = (),
    ) -> None:
        self.words, self.matrix, self.counts = tuple(words), matrix, counts
        self.notices = tuple(notices)
        self.index: Mapping[str, int] = {word: i for i, word in enumerate(self.words)}
        if len(self.index) != len(matrix):
            raise DanluError(f"{len(self.index)} different words for {len(matrix)} vectors.")
        self._unit = unit(matrix)

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self.index

    @property
    def dim(self) -> int:
        """Numbers of a vector."""
        return self.matrix.shape[1]

    def vector(self, word: str) -> Float[Tensor, " dim"]:
        """The vector of a word.

        Raises:
            DanluError: the word is unknown.
        """
        if word not in self.index:
            # A hint among many thousand words would be a guess; the nearest spelling helps.
            raise (
                unknown("word", word, self.words)
                if len(self) < 100_000
                else DanluError(
                    f"Unknown word {word!r}: it was not in the training text often enough."
                )
            )
        return self.matrix[self.index[word]]

    def similarity(self, first: str, second: str) -> float:
        """Cosine of the angle between two words."""
        both = unit(torch.stack([self.vector(first), self.vector(second)]))
        return float(both[0] @ both[1])

    def neighbours(self, word: str, n: int = 10) -> list[tuple[str, float]]:
        """The n words with the largest cosine, the word itself left out."""
        return self._nearest(self.vector(word), {word}, n)

    def analogy(self, a: str, b: str, c: str, n: int = 1) -> list[tuple[str, float]]:
        """What is to c as b is to a: the words nearest to b - a + c, without these three.

        The three vectors have length one before they are added (3CosAdd; Mikolov, Yih & Zweig).
        """
        three = unit(torch.stack([self.vector(x) for x in (a, b, c)]))
        return self._nearest(three[1] - three[0] + three[2], {a, b, c}, n)

    def analogies(self, questions: Int[Tensor, "questions 3"]) -> Int[Tensor, " questions"]:
        """The first answer to many questions at once, all as row numbers."""
        answers = []
        for part in questions.split(512):
            a, b, c = (self._unit[part[:, i]] for i in range(3))
            scores = (b - a + c) @ self._unit.T
            answers.append(scores.scatter(1, part, -torch.inf).argmax(1))
        return torch.cat(answers) if answers else questions.new_empty(0)

    def _nearest(self, query: Tensor, without: set[str], n: int) -> list[tuple[str, float]]:
        scores = self._unit @ unit(query)
        scores[[self.index[word] for word in without if word in self.index]] = -torch.inf
        best = scores.topk(min(n, len(self) - len(without & self.index.keys())))
        return [
            (self.words[i], score)
            for i, score in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]


def unit(rows: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows dim"]:
    """Rows of length one, also of numbers whose squares overflow; rows of zeros stay."""
    exponents = torch.frexp(rows.abs().amax(-1, keepdim=True))[1]
    # By a power of two, so that no bit of an ordinary row changes.
    return functional.normalize(torch.ldexp(rows, -exponents), dim=-1)
