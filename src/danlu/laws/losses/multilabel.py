"""Laws of multi-label losses: identities, soft optima, stability and gradients."""

import math
from functools import partial

import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, linear

from danlu.laws.gaps import excess, gap, largest, relative_gap
from danlu.laws.law import Law, Rows, table
from danlu.laws.losses.multilabel_cases import choices, hard, logits, soft
from danlu.losses import MULTILABEL
from danlu.losses.multilabel import linear_zlpr, log_sums
from danlu.losses.multilabel.binary import BinaryCrossEntropy
from danlu.losses.multilabel.pairwise import Pairwise
from danlu.losses.multilabel.zlpr import ZLPR

FLAT = [name for name, row in MULTILABEL.items() if row.build().axes == 2]
BOTH_WAYS = [name for name in FLAT if name != "asymmetric"]


def _hard_form_error() -> float:
    """ZLPR equals its two sums."""
    s, t = logits(), hard()
    rows = [
        math.log(1 + sum(math.exp(x) for x, y in zip(row, mark, strict=True) if not y))
        + math.log(1 + sum(math.exp(-x) for x, y in zip(row, mark, strict=True) if y))
        for row, mark in zip(s.tolist(), t.tolist(), strict=True)
    ]
    return gap(ZLPR()(s, t), torch.tensor(rows))


def _one_class_error() -> float:
    s, t = logits(8, 1), hard(8, 1)
    return gap(ZLPR()(s, t), binary_cross_entropy_with_logits(s, t, reduction="none").sum(1))


def _one_right_error() -> float:
    """One right class: ZLPR - cross-entropy = log (1+N)(1+P)/(1+NP) > 0; pairwise is equal."""
    s, classes = logits(), torch.arange(6) % 5
    t = torch.nn.functional.one_hot(classes, 5).double()
    n, p = ((1 - t) * s.exp()).sum(1), (t * (-s).exp()).sum(1)
    entropy = cross_entropy(s, classes, reduction="none")
    above = ((1 + n) * (1 + p) / (1 + n * p)).log()
    zlpr = ZLPR()(s, t)
    return largest(
        excess(entropy + 1e-3, zlpr), gap(zlpr - entropy, above), gap(Pairwise()(s, t), entropy)
    )


def _pairs_error() -> float:
    """Scale and margin: the double sum."""
    s, t, loss = logits(), hard(), Pairwise(scale=1.7, margin=0.3)
    pairs = (1 - t)[:, :, None] * t[:, None, :]
    gaps = (1.7 * (s[:, :, None] - s[:, None, :] + 0.3)).exp()
    return gap(loss(s, t), (1 + (pairs * gaps).sum((1, 2))).log())


def _mirror_error() -> float:
    s, t = logits(), soft()
    return gap(ZLPR()(s, t), ZLPR()(-s, 1 - t))


def _threshold_error() -> float:
    """A threshold enters both sums."""
    s, t, a = logits(), hard(), 0.7
    wrong, right = ((1 - t) * s.exp()).sum(1), (t * (-s).exp()).sum(1)
    loss = ZLPR(threshold=a)
    known = (math.exp(a) + wrong).log() + (math.exp(-a) + right).log()
    return gap([loss(s, t), loss.predict(s)], [known, s > a])


def _truncation_excess() -> float:
    """ZLPR <= binary cross-entropy."""
    s, t = logits(40), hard(40)
    return excess(ZLPR()(s, t), BinaryCrossEntropy()(s, t))


def _masked_error(name: str) -> float:
    """A masked class might as well not be there, whatever its logit and target."""
    loss, s, t = MULTILABEL[name].build(), logits(), hard()
    keep = torch.tensor([True, False, True, True, False])
    s[:, 1] = 1e7
    whole = s.clone().requires_grad_()
    masked = loss(whole, t, keep.expand(6, 5))
    (slope,) = torch.autograd.grad(masked.sum(), whole)
    return largest(gap(masked, loss(s[:, keep], t[:, keep])), gap(slope[:, ~keep], 0.0))


def _optimum_error(name: str) -> float:
    """LBFGS on the scores, then the probabilities against the soft targets."""
    loss, t = MULTILABEL[name].build(), 0.05 + 0.9 * soft()
    s = torch.zeros_like(t, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [s], max_iter=100, tolerance_grad=1e-10, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = loss(s, t).sum()
        total.backward()
        return total

    optimizer.step(closure)  # pyright: ignore[reportArgumentType]
    return gap(loss.probability(s.detach()), t)


def _stationary_error() -> float:
    """No slope at t = sigma(2(s-a))."""
    t = soft()
    s = (t.logit() / 2 + 0.4).requires_grad_()
    (slope,) = torch.autograd.grad(ZLPR(threshold=0.4)(s, t).sum(), s)
    return gap(slope, 0.0)


def _gradient_error(name: str) -> float:
    """0 where first and second derivatives agree with finite differences."""
    loss = MULTILABEL[name].build()
    s = logits(4, 4, 1.0) if loss.axes == 2 else logits(4, 6, 1.0).view(2, 4, 3)
    t = hard(4, 4) if loss.axes == 2 else choices(2, 4, 3)
    if loss.soft and loss.axes == 2:
        t = torch.cat([t[:2], soft(2, 4)])
    run = partial(loss, targets=t)
    s.requires_grad_()
    return float(not (gradcheck(run, (s,)) and gradgradcheck(run, (s,))))


def _extreme_excess(name: str, dtype: torch.dtype) -> float:
    """What extreme logits cost; infinite where a value or a gradient is not finite.

    A class that is wrong by 1e7 costs 1e7 (alpha times that for focal), one that is right nothing.
    """
    loss = MULTILABEL[name].build()
    big = 1e7
    rows = [[big, -big], [-big, big], [1e4, -1e4], [-1e4, 1e4], [big, big], [-big, -big]]
    s = torch.tensor(rows, dtype=dtype, requires_grad=True)
    t = torch.tensor([1.0, 0.0]).expand(len(rows), 2)
    values = loss(s, t)
    (slope,) = torch.autograd.grad(values.sum(), s)
    finite = gap([values.isfinite().all(), slope.isfinite().all()], [True, True])
    return largest(finite, gap(values[0], 0.0), excess(0.2, values[1] / big))


def _pieces_error() -> float:
    """Any pieces give the same."""
    s, t = logits(3, 50), torch.cat([hard(2, 50), soft(1, 50)])
    found = []
    before = log_sums.PIECE
    for piece in (before, 21):
        log_sums.PIECE = piece
        try:
            leaf = s.clone().requires_grad_()
            value = ZLPR()(leaf, t)
            found.append(torch.cat([value[:, None], *torch.autograd.grad(value.sum(), leaf)], 1))
        finally:
            log_sums.PIECE = before
    return gap(found[0], found[1])


def _linear_error() -> float:
    """A layer in pieces gives the same."""
    hidden, weight, bias = logits(3, 4), logits(40, 4, 1.0), logits(1, 40, 1.0)[0]
    right = torch.tensor([[3, 17, -1], [-1, -1, -1], [39, 0, 21]])
    t = torch.zeros(3, 41).scatter(1, right % 41, 1.0)[:, :40]
    leaves = [x.clone().requires_grad_() for x in (hidden, weight, bias)]
    whole = ZLPR()(linear(*leaves), t)
    expected = torch.autograd.grad(whole.square().sum(), leaves)
    from danlu.losses.multilabel import linear as module

    before, module.PIECE = module.PIECE, 21
    try:
        value = linear_zlpr(leaves[0], leaves[1], leaves[2], right)
        found = torch.autograd.grad(value.square().sum(), leaves)
    finally:
        module.PIECE = before
    # Slopes of squares are as large as what is drawn; their rounding is relative to that.
    return largest(gap(value, whole), relative_gap([*found], [*expected]))


def _share_error() -> float:
    """1 of 1,000: log 1000 against log 2."""
    s, t = torch.zeros(1, 1000), torch.zeros(1, 1000)
    t[0, 0] = 1.0
    zlpr = ZLPR()(s, t).item() - math.log(1000) - math.log(2)
    return largest(abs(zlpr), gap(BinaryCrossEntropy()(s, t).item() / math.log(2), 1000))


_LAWS: Rows = {
    "definition": [
        ("multilabel/zlpr-hard", 1e-13, _hard_form_error),
        ("multilabel/pairwise-sum", 1e-12, _pairs_error),
        ("multilabel/zlpr-threshold", 1e-13, _threshold_error),
    ],
    "independent package": [
        ("multilabel/zlpr-one-class", "one class: binary cross-entropy", 1e-13, _one_class_error),
    ],
    "closed form": [
        ("multilabel/zlpr-is-not-softmax", 1e-13, _one_right_error),
        ("multilabel/zlpr-stationary", 1e-14, _stationary_error),
        ("multilabel/zlpr-imbalance", 1e-3, _share_error),
    ],
    "self-consistency": [
        ("multilabel/zlpr-mirror", "L(s, t) = L(-s, 1-t)", 1e-13, _mirror_error),
        ("multilabel/zlpr-truncation", 0.0, _truncation_excess),
        ("multilabel/zlpr-pieces", 1e-13, _pieces_error),
        ("multilabel/zlpr-linear", 1e-12, _linear_error),
    ],
}

LAWS: list[Law] = [
    *table(_LAWS),
    *(
        Law(
            f"multilabel/{name}-optimum",
            "minimising recovers soft targets",
            1e-6,
            partial(_optimum_error, name),
            oracle="closed form",
        )
        for name in ("zlpr", "binary-cross-entropy")
    ),
    *(
        Law(
            f"multilabel/{name}-masked",
            "masked classes are not there",
            1e-12,
            partial(_masked_error, name),
            oracle="contract",
        )
        for name in FLAT
    ),
    *(
        Law(
            f"multilabel/{name}-gradients",
            "both derivatives by finite differences",
            0.0,
            partial(_gradient_error, name),
            oracle="finite differences",
        )
        for name in MULTILABEL
    ),
    *(
        Law(
            f"multilabel/{name}-extreme-{str(dtype).removeprefix('torch.')}",
            "finite at 1e7; right costs nothing and wrong its size",
            0.0,
            partial(_extreme_excess, name, dtype),
            oracle="closed form",
        )
        for name in BOTH_WAYS
        for dtype in (torch.float32, torch.bfloat16)
    ),
]
