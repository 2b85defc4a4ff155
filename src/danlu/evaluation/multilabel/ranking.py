r"""How well scores rank the right classes before the wrong ones, whatever the threshold.

For a right entry with score s let $n(s)$ be how many entries score at least s and $r(s)$ how many
of these are right. Average precision is the mean of $r(s)/n(s)$ over right entries: down the
examples of each class, averaged over classes (mAP), or along the classes of each example, averaged
over examples (label ranking). The ranking loss is the share of pairs of a right and a wrong class
of an example in which the wrong one scores at least as much. Ties count against the ranking.

When to use them: to compare losses whose thresholds mean different things.

Source: Zhang and Zhou, A review on multi-label learning algorithms (2014), section 2.2.
"""

import torch
from torch import Tensor

from danlu.evaluation.multilabel.agreement import Scores, Sets


def mean_average_precision(scores: Scores, predicted: Sets, right: Sets) -> float:
    """Average precision of each class that occurs, averaged."""
    return _average_precision(scores.T, right.T)


def label_ranking_precision(scores: Scores, predicted: Sets, right: Sets) -> float:
    """Average precision of each example with a right class, averaged."""
    return _average_precision(scores, right)


def ranking_loss(scores: Scores, predicted: Sets, right: Sets) -> float:
    """Share of wrongly ordered pairs, averaged over examples that have pairs; lower is better."""
    at_least, of_them_right = _counts(scores, right)
    wrong_before = ((at_least - of_them_right) * right).sum(1)
    pairs = right.sum(1) * (~right).sum(1)
    return (wrong_before / pairs)[pairs > 0].double().mean().item()


def _average_precision(scores: Tensor, right: Tensor) -> float:
    at_least, of_them_right = _counts(scores, right)
    occurs = right.any(1)
    precision = (of_them_right / at_least * right).sum(1)[occurs] / right.sum(1)[occurs]
    return precision.mean().item()


def _counts(scores: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """For every entry: how many of its row score at least as much, and the right ones of these."""
    ordered, index = scores.contiguous().sort(1)
    before = torch.searchsorted(ordered, scores.contiguous())  # how many score less
    total = right.sum(1, keepdim=True)
    rights = right.gather(1, index).cumsum(1)
    less = torch.where(before > 0, rights.gather(1, (before - 1).clamp_min(0)), 0)
    return (scores.shape[1] - before).double(), (total - less).double()
