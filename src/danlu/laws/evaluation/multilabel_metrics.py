"""Laws of multi-label metrics: scikit-learn's definitions, ties included."""

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from sklearn import metrics as peer
from torch import Tensor

from danlu.evaluation.multilabel import MULTILABEL_METRICS
from danlu.laws.draws import generator
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Law


def _case(*, ties: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, predictions and right sets of 60 examples and 7 classes, each somewhere right."""
    source = generator()
    scores = torch.randn(60, 7, generator=source, dtype=torch.float64)
    right = torch.rand(60, 7, generator=source) < torch.linspace(0.1, 0.8, 7)
    right[0], right[1] = True, False
    scores = scores.round() if ties else scores
    return scores, scores + 0.5 * right > 0.6, right


def _f1(average: str) -> Callable[..., float]:
    def measure(scores: np.ndarray, predicted: np.ndarray, right: np.ndarray) -> float:
        return float(peer.f1_score(right, predicted, average=average, zero_division=np.nan))  # type: ignore[arg-type]

    return measure


def _label_ranking(scores: np.ndarray, predicted: np.ndarray, right: np.ndarray) -> float:
    some = right.any(1)  # scikit-learn gives examples without a right class a 1
    return float(peer.label_ranking_average_precision_score(right[some], scores[some]))


def _ranking_loss(scores: np.ndarray, predicted: np.ndarray, right: np.ndarray) -> float:
    both = right.any(1) & ~right.all(1)
    return float(peer.label_ranking_loss(right[both], scores[both]))


ORACLES: dict[str, Callable[..., float]] = {
    "mean-average-precision": lambda s, p, r: float(
        peer.average_precision_score(r, s, average="macro")
    ),
    "label-ranking-precision": _label_ranking,
    "ranking-loss": _ranking_loss,
    "micro-f1": _f1("micro"),
    "macro-f1": _f1("macro"),
    "example-f1": _f1("samples"),
    "subset-accuracy": lambda s, p, r: float(peer.accuracy_score(r, p)),
    "hamming-loss": lambda s, p, r: float(peer.hamming_loss(r, p)),
}


def _error(name: str) -> float:
    worst = 0.0
    for ties in (False, True):
        scores, predicted, right = _case(ties=ties)
        found = MULTILABEL_METRICS[name].target(scores, predicted, right)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = ORACLES[name](scores.numpy(), predicted.numpy(), right.numpy())
        worst = largest(worst, gap(found, expected))
    return worst


LAWS: list[Law] = [
    Law(
        f"multilabel-metrics/{name}",
        "equals scikit-learn's figure, with and without ties",
        1e-12,
        partial(_error, name),
        oracle="independent package",
    )
    for name in MULTILABEL_METRICS
]
