"""Laws of the losses that ZLPR is compared with: enumerations, formulas, published limits."""

import math
from collections.abc import Callable
from functools import partial
from itertools import combinations, product

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from danlu.laws.gaps import excess, gap, largest
from danlu.laws.law import Rows, table
from danlu.laws.losses.multilabel_cases import choices, hard, logits, soft
from danlu.losses import MULTILABEL
from danlu.losses.multilabel.binary import Asymmetric, BinaryCrossEntropy, Focal
from danlu.losses.multilabel.subset import SubsetSoftmax, log_partitions
from danlu.losses.multilabel.zlpr import ZLPR

FLAT = [name for name, row in MULTILABEL.items() if row.build().axes == 2]
SEVERAL = [name for name in MULTILABEL if name not in FLAT]
BOTH_WAYS = [name for name in FLAT if name != "asymmetric"]


def _partition_error() -> float:
    """Z_k by enumeration."""
    s = logits(3, 6)
    found = log_partitions(s, 6)
    worst = 0.0
    for k in range(7):
        sums = torch.stack([s[:, list(chosen)].sum(1) for chosen in combinations(range(6), k)], 1)
        worst = largest(worst, gap(found[:, k], sums.logsumexp(1)))
    return worst


def _subset_error() -> float:
    """All sets by enumeration."""
    s, t = logits(6, 5), hard(6, 5)
    scores = torch.cat([s, torch.zeros(6, 1)], 1)
    worst = 0.0
    for row, mark, value in zip(scores, t, SubsetSoftmax()(s, t), strict=True):
        right = [i for i in range(5) if mark[i]]
        expected = 0.0
        for chosen in (right, [*right, 5]):
            sums = [row[list(other)].sum() for other in combinations(range(6), len(chosen))]
            expected = expected + torch.stack(sums).logsumexp(0) - row[chosen].sum()
        worst = largest(worst, abs(float(value - expected)))
    return worst


def _plain_form_error(loss: Focal | Asymmetric) -> float:
    """The formulas of the sources in probabilities."""
    s, t = logits(), hard()
    p = torch.sigmoid(s)
    if isinstance(loss, Focal):
        right = loss.alpha * (1 - p) ** loss.gamma * p.log()
        wrong = (1 - loss.alpha) * p**loss.gamma * (1 - p).log()
    else:
        q = (p - loss.cut).clamp_min(0)
        right, wrong = (1 - p) ** loss.gamma_right * p.log(), q**loss.gamma_wrong * (1 - q).log()
    return gap(loss(s, t), -(t * right + (1 - t) * wrong).sum(1))


def _binary_error() -> float:
    """Equal without exponents."""
    s, t = logits(), soft()
    plain = binary_cross_entropy_with_logits(s, t, reduction="none").sum(1)
    focal, asymmetric = (
        Focal(gamma=0.0, alpha=0.5),
        Asymmetric(gamma_right=0.0, gamma_wrong=0.0, cut=0.0),
    )
    return largest(
        gap(BinaryCrossEntropy()(s, t), plain),
        gap(2 * focal(s, t), plain),
        gap(asymmetric(s, t), plain),
    )


# --- several choices at once ---


def _loss(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    return MULTILABEL[name].build()


def _several_sums_error() -> float:
    """L1 as its sums."""
    s, t = logits(8, 3).view(2, 4, 3), soft(8, 3).view(2, 4, 3)
    worst = 0.0
    for b, value in enumerate(_loss("several-pairwise")(s, t)):
        total = 0.0
        for j in range(3):
            pairs = product(range(4), (k for k in range(3) if k != j))
            total += math.log(
                1 + sum(t[b, i, j].item() * math.exp(s[b, i, k] - s[b, i, j]) for i, k in pairs)
            )
        worst = largest(worst, gap(value.item(), total))
    return worst


def _two_choices_error() -> float:
    """M = 2 and n = 1 as published."""
    s, t = logits(10, 2).view(2, 5, 2), soft(10, 1).view(2, 5, 1)
    t = torch.cat([1 - t, t], -1)
    lead, of = s[..., 1] - s[..., 0], t[..., 1]
    one, picked = logits(6, 4).view(6, 1, 4), choices(6, 1, 4)
    entropy = cross_entropy(one[:, 0], picked[:, 0])
    return largest(
        gap(_loss("several-pairwise")(s, t), ZLPR()(lead, of)),
        gap(_loss("several-centred")(s, t), ZLPR()(lead / 2, of)),
        gap(_loss("several-pairwise")(one, picked).mean(), entropy),
    )


def _slope_at_softmax(name: str) -> float:
    s = logits(8, 3).view(2, 4, 3).requires_grad_()
    t = s.detach().softmax(-1)
    (slope,) = torch.autograd.grad(_loss(name)(s, t).sum(), s)
    return gap(slope, 0.0)


def _failure_margin() -> float:
    """L3 prefers a wrong argmax.

    One item, three classes, the first is right. The scores (4, 5, -9) put a wrong class first
    and still cost less than (2, 0, -2), which are right; L1 orders the two properly.
    """
    t = torch.tensor([[[1.0, 0.0, 0.0]]])
    wrong, right = torch.tensor([[[4.0, 5.0, -9.0]]]), torch.tensor([[[2.0, 0.0, -2.0]]])
    centred, pairwise = _loss("several-centred"), _loss("several-pairwise")
    fails = (centred(right, t) - centred(wrong, t)).item()
    works = (pairwise(wrong, t) - pairwise(right, t)).item()
    return excess([0.0, 0.0], [fails, works])


def _prediction_error(name: str) -> float:
    """Classes with a score above 0, or the one of each item with the largest, one by one."""
    loss = MULTILABEL[name].build()
    s = logits(6, 6).unflatten(1, (2, 3)) if loss.axes == 3 else logits()
    rows = s.flatten(0, -2).tolist()
    several = loss.axes == 3
    known = [[x == max(row) if several else x > 0 for x in row] for row in rows]
    return gap(loss.predict(s).flatten(0, -2), torch.tensor(known))


_LAWS: Rows = {
    "enumeration": [
        *(
            (
                f"multilabel/{name}-predictions",
                "classes more probable than not, or the best of each item",
                0.0,
                partial(_prediction_error, name),
            )
            for name in ("binary-cross-entropy", "subset-softmax", *SEVERAL)
        ),
        ("multilabel/subset-softmax-partition", 1e-12, _partition_error),
        ("multilabel/subset-softmax-loss", 1e-12, _subset_error),
    ],
    "definition": [
        (
            "multilabel/focal-formula",
            "the formula in p",
            1e-12,
            partial(_plain_form_error, Focal()),
        ),
        (
            "multilabel/asymmetric-formula",
            "the formula in p",
            1e-12,
            partial(_plain_form_error, Asymmetric()),
        ),
        ("multilabel/several-pairwise-sum", 1e-12, _several_sums_error),
    ],
    "independent package": [
        ("multilabel/binary-cross-entropy-limits", 1e-13, _binary_error),
    ],
    "closed form": [
        ("multilabel/several-degenerate", 1e-13, _two_choices_error),
        (
            "multilabel/several-centred-optimum",
            "no slope of L3 at t = softmax(s)",
            1e-14,
            partial(_slope_at_softmax, "several-centred"),
        ),
        (
            "multilabel/several-pairwise-no-optimum",
            "L1 has a slope there",
            -0.05,
            lambda: excess(0.0, _slope_at_softmax("several-pairwise")),
        ),
        ("multilabel/several-centred-failure", -0.1, _failure_margin),
    ],
}

LAWS = table(_LAWS)
