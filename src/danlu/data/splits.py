"""Fixed splits: by a hash of each example's name, stratified by class, the same on any machine."""

from collections.abc import Sequence

import numpy as np

from danlu.contracts import derive_seed

SMALLEST = 10
"""Fewer examples than this cannot be split and trained on."""

Indices = np.ndarray


def split(
    keys: Sequence[int | str], labels: np.ndarray | None, *, validation: int, test: int
) -> tuple[Indices, Indices, Indices]:
    """Indices of the training, validation and test examples, each in source order.

    Every class is ordered by hash and spread evenly over [0, 1]; the lowest `test` of all are
    the test split and the next `validation` the validation split, so that classes keep their
    proportions to within one example. No random generator is involved: versions cannot matter.
    """
    n = len(keys)
    hashes = np.fromiter((derive_seed("split", key) for key in keys), np.int64, n)
    order = np.argsort(hashes, kind="stable")
    labels = np.zeros(n, dtype=int) if labels is None else labels
    height = np.empty(n)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        height[members] = (np.arange(len(members)) + 0.5) / len(members)
    ranked = order[np.argsort(height[order], kind="stable")]
    cut = test + validation
    return np.sort(ranked[cut:]), np.sort(ranked[test:cut]), np.sort(ranked[:test])


def held_out(n: int) -> int:
    """Default size of each held-out split: a tenth, at least 1 and at most 10,000."""
    return min(10_000, max(1, n // 10))
