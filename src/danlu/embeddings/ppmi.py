r"""Positive pointwise mutual information of words and contexts, shifted.

$M_{wc} = \max(\ln\frac{\#(w,c)}{\#(w)\,P(c)} - \ln k, 0)$ with the counts $\#(w,c)$, their row sums
$\#(w)$ and $P(c) \propto \#(c)^\alpha$. With $\alpha = 1$ and without the maximum it is what
skip-gram with $k$ negative samples factorises.

Sources: Levy & Goldberg 2014 (Neural word embedding as implicit matrix factorization);
Levy, Goldberg & Dagan 2015, doi:10.1162/tacl_a_00134 (alpha).
"""

from typing import cast

import numpy as np
from scipy.sparse import csr_array, vstack

from danlu.contracts import DanluError

ROWS = 1 << 14
"""Rows that are handled at once: only positive entries stay, however many counts there are."""


def shape_of(matrix: csr_array) -> tuple[int, int]:
    """Rows and columns; scipy's own annotation of a shape allows None."""
    return cast(tuple[int, int], matrix.shape)


def shifted_ppmi(
    counts: csr_array, *, shift: float = 1.0, smoothing: float = 1.0, dtype: type = np.float64
) -> csr_array:
    """The matrix M of the counts, `[vocab, vocab]`.

    Args:
        counts: co-occurrence counts in any unit.
        shift: k, a number of negative samples.
        smoothing: alpha, the power that makes frequent contexts less frequent.
        dtype: of the result.

    Raises:
        DanluError: a shift that is not positive, or no pair was counted.
    """
    if shift <= 0:
        raise DanluError(f"The shift of PPMI is a positive number of samples, got {shift}.")
    size, _ = shape_of(counts)
    ones = np.ones(size)
    words, contexts = counts @ ones, (ones @ counts) ** smoothing
    if not words.any():
        raise DanluError("No two words stand in one line; nothing can be said about contexts.")
    offset = np.log(np.where(contexts > 0, contexts / contexts.sum(), 1.0)) + np.log(shift)
    log_words = np.log(np.where(words > 0, words, 1.0))
    blocks = []
    for start in range(0, size, ROWS):
        block = counts[start : start + ROWS]
        rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
        value = np.log(block.data) - log_words[start + rows] - offset[block.indices]
        found = value > 0
        starts = np.concatenate(
            [[0], np.cumsum(np.bincount(rows[found], minlength=block.shape[0]))]
        )
        blocks.append(
            csr_array((value[found].astype(dtype), block.indices[found], starts), block.shape)
        )
    return csr_array(vstack(blocks, format="csr"))
