r"""Windows: which words are context of which.

A window of size $L$ gives a context at distance $\delta \le L$ the weight $(L - \delta + 1)/L$.
That is the expectation of a window whose radius is drawn uniformly from $1, \dots, L$, as word2vec
draws it for every word.

Sources: arXiv:1301.3781 section 3.2; Levy, Goldberg & Dagan 2015, doi:10.1162/tacl_a_00134.
"""

import numpy as np
from jaxtyping import Int

from danlu.contracts import DanluError


def require_window(window: int) -> None:
    """Refuse what is no window."""
    if window < 1:
        raise DanluError(f"A window reaches over at least 1 word, got {window}.")


def window_pairs(
    line: Int[np.ndarray, " tokens"], radius: Int[np.ndarray, " tokens"]
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Positions (centre, context) of all pairs inside the radius of their centre and one line.

    They are sorted by the centre.
    """
    centres, contexts = [], []
    for distance in range(1, int(radius.max(initial=0)) + 1):
        left = np.flatnonzero(line[distance:] == line[:-distance])
        right = left + distance
        forward, backward = radius[left] >= distance, radius[right] >= distance
        centres += [left[forward], right[backward]]
        contexts += [right[forward], left[backward]]
    if not centres:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    centre, context = np.concatenate(centres), np.concatenate(contexts)
    order = np.argsort(centre, kind="stable")
    return centre[order], context[order]


def weighted_pairs(
    ids: Int[np.ndarray, " tokens"], line: Int[np.ndarray, " tokens"], size: int, window: int
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Every pair of words once, as `word * size + context` in order, with its summed weight.

    Weights are whole numbers in units of 1 / window, so their sums are exact in any order.
    """
    if size**2 * window >= 2**63:
        raise DanluError(f"A vocabulary of {size} words is too large to count in pairs.")
    ids = ids.astype(np.int64)
    found = []
    for distance in range(1, window + 1):
        near = line[distance:] == line[:-distance]
        left, right = ids[:-distance][near], ids[distance:][near]
        # The distance rides along in the lowest digit: one sort of numbers does it all.
        found += [(left * size + right) * window + distance - 1]
        found += [(right * size + left) * window + distance - 1]
    together = np.sort(np.concatenate(found))
    return summed_by_key(together // window, window - together % window)


def summed_by_key(
    keys: Int[np.ndarray, " entries"], weights: Int[np.ndarray, " entries"]
) -> tuple[Int[np.ndarray, " unique"], Int[np.ndarray, " unique"]]:
    """Sum the weights of equal keys; the keys come in order."""
    if len(keys) == 0:
        return keys, weights
    first = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
    return keys[first], np.add.reduceat(weights, first)
