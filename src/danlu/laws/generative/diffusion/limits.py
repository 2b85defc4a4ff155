"""Ends and edges: both ends of every diffusion path, and classes that are left out of a loss."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from danlu.contracts import DanluError
from danlu.generative.diffusion import PATHS, PREDICTIONS
from danlu.generative.diffusion.paths import Path, Point
from danlu.generative.diffusion.predictions import combine, solve
from danlu.laws.draws import generator
from danlu.laws.gaps import gap, largest, relative_gap
from danlu.laws.law import Case, Law, law_of_cases, stated
from danlu.losses.multilabel import MULTILABEL, MultiLabelLoss, linear_zlpr

INSIDE = 1e-9
"""How far from an end its limit is taken."""
LARGE = 1e6
"""What has no limit is larger so near to an end."""
BETA_AT_0 = {"vp-linear": 0.1, "sub-vp": 0.0, "vp-cosine": 0.0388562757}
"""The squared diffusion at time 0: beta, pi / 1.008 tan(pi / 2 0.008 / 1.008) of the cosine."""


def _of(point: Point, name: str) -> Any:
    return getattr(point, name)


def at_ends(path: Path) -> Iterator[Case]:
    """Coefficients at an end against their values just inside, as numbers and as tensors."""
    for end, inside in ((0.0, INSIDE), (1.0, 1 - INSIDE)):
        one, near = path.at(end), path.at(inside)
        many = path.points(torch.tensor([end], dtype=torch.float64))
        for name in ("alpha", "sigma", "alpha_rate", "squared_diffusion"):

            def jump(name: str = name, one: Any = one, near: Any = near) -> float:
                values = [_of(point, name) for point in (one, near)]
                if abs(values[0]) > LARGE:  # the limit is none, and what is near it is large
                    return float(abs(values[1]) < LARGE)
                return gap(values[0], values[1]) / largest(1.0, abs(values[0]))

            yield f"{name} at {end:g}", jump
        for name in ("alpha", "sigma", "level", "snr", "drift", "squared_diffusion"):

            def same(name: str = name, one: Any = one, many: Any = many) -> float:
                ours, theirs = _of(one, name), _of(many, name).item()
                both = math.isinf(ours) and math.isinf(theirs)
                return 0.0 if both else gap(ours, theirs) / largest(1.0, abs(ours))

            yield f"{name} at {end:g} as a tensor", same


def converted(path: Path) -> Iterator[Case]:
    """Data and noise from what they make at an end, or a refusal in words."""
    data, noise = torch.randn(2, 5, generator=generator(), dtype=torch.float64)
    for end in (0.0, 1.0):
        for name, method in PREDICTIONS.items():
            prediction = method.build()
            for point in (path.at(end), path.points(torch.tensor([end], dtype=torch.float64))):

                def error(prediction: Any = prediction, point: Any = point) -> float:
                    x = point.alpha * data + point.sigma * noise
                    try:
                        found = solve(prediction, point, x, combine(prediction, point, data, noise))
                    except DanluError as problem:
                        return float("\n" in str(problem))
                    return gap(found[0], data)

                yield f"{name} at {end:g}, {type(point.alpha).__name__}", error


def score_refused(path: Path) -> float:
    """A score where there is no noise: a refusal, or finite where some is left at time 0."""
    x, point = torch.ones(3, dtype=torch.float64), path.at(0.0)
    try:
        return float(not bool(point.score(x, 0 * x).isfinite().all()))
    except DanluError:
        return 0.0


def betas() -> float:
    """At time 0 they forget at their rate."""
    return largest(gap(PATHS[n].build().at(0.0).squared_diffusion, b) for n, b in BETA_AT_0.items())


Losses = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def _examples(loss: MultiLabelLoss) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, hard targets and which classes count: rows with all but one left out, too."""
    shape = (6, 5) if loss.axes == 2 else (3, 6, 5)
    logits = 2 * torch.randn(shape, generator=generator(), dtype=torch.float64)
    if loss.axes == 2:
        targets = (torch.rand(shape, generator=generator(1)) < 0.4).double()
    else:
        best = torch.rand(shape, generator=generator(1)).argmax(-1)
        targets = torch.nn.functional.one_hot(best, shape[-1]).double()
    counts = (torch.rand(shape, generator=generator(2)) < 0.5) | (targets > 0)
    counts[0], targets[0] = False, 0.0
    counts[..., 0, 2] = True
    targets[..., 0, :] = 0.0
    targets[..., 0, 2] = 1.0
    counts[..., 1, :], targets[..., 1, :] = True, 0.0
    targets[..., 1, 3] = 1.0
    counts = counts | (targets > 0)
    return logits, targets, counts


def _removed(loss: MultiLabelLoss, logits: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
    """The loss where classes that are left out are not there at all, row by row or item by item."""
    rows = []
    for row in range(len(logits)):
        if loss.axes == 2:
            kept = counts[row]
            rows.append(loss(logits[row, kept][None], targets[row, kept][None])[0])
            continue
        # An item of other classes than the next one: its term alone, for each class over items.
        terms = torch.zeros(logits.shape[1:], dtype=torch.float64)
        for item in range(logits.shape[1]):
            kept = counts[row, item]
            s, right = logits[row, item, kept], targets[row, item, kept]
            for place, index in enumerate(kept.nonzero()[:, 0].tolist()):
                rest = torch.cat([s[:place], s[place + 1 :]])
                lead = s[place] - (rest.exp().sum().log() if _pairwise(loss) else s.mean())
                terms[item, index] = right[place] * (-lead).exp()
        rows.append((1 + terms.sum(0)).log().sum())
    return torch.stack(rows)


def _pairwise(loss: MultiLabelLoss) -> bool:
    return type(loss).__name__ == "SeveralPairwise"


def left_out(build: Callable[[], MultiLabelLoss]) -> Iterator[Case]:
    """Masked classes, and classes of -inf or NaN under a mask, against losses without them."""
    loss = build()
    logits, targets, counts = _examples(loss)
    expected = _removed(loss, logits, targets, counts)

    def slopes(given: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        given = given.clone().requires_grad_()
        value = loss(given, targets, mask)
        (slope,) = torch.autograd.grad(value.sum(), given)
        return value.detach(), slope

    plain = slopes(logits, counts)
    nothing = torch.where(counts, plain[1], 0.0)
    yield "masked", lambda: relative_gap(plain[0], expected)
    yield "gradient of what is masked", lambda: gap(plain[1], nothing)
    for value in (-math.inf, math.inf, math.nan):
        given = logits.masked_fill(~counts, value)
        yield f"{value} under a mask", lambda g=given: gap(slopes(g, counts), plain)
    silent = logits.masked_fill(~counts, -math.inf)
    yield "-inf without a mask", lambda: gap(slopes(silent, None), plain)


def impossible(build: Callable[[], MultiLabelLoss]) -> float:
    """A right class of -inf that does not cost infinity."""
    loss = build()
    logits, targets, _ = _examples(loss)
    cost = loss(logits.masked_fill(targets == 1, -math.inf), targets)
    return float(not bool((cost[targets.flatten(1).sum(1) > 0] == math.inf).all()))


def linear_left_out() -> float:
    """A bias of -inf leaves a class out."""
    hidden, weight = torch.randn(2, 4, 7, generator=generator(), dtype=torch.float64)
    bias = torch.zeros(4, dtype=torch.float64)
    bias[1] = -math.inf
    right = torch.tensor([[0, 2], [3, -1], [-1, -1], [0, -1]])
    kept = torch.tensor([0, 2, 3])
    fewer = torch.tensor([[0, 1], [2, -1], [-1, -1], [0, -1]])
    found, expected = [], []
    for to, given, w, b in (
        (found, right, weight, bias),
        (expected, fewer, weight[kept], bias[kept]),
    ):
        h = hidden.clone().requires_grad_()
        value = linear_zlpr(h, w, b, given)
        to += [value.detach(), *torch.autograd.grad(value.sum(), h)]
    return gap(found, expected)


def _losses(name: str, build: Callable[[], MultiLabelLoss]) -> list[Law]:
    said = "a class that is masked, or -inf, is as if it were not there"
    cases = partial(left_out, build)
    never = Law(
        f"multilabel/{name}/impossible",
        "a right class of -inf costs infinity",
        0.0,
        partial(impossible, build),
        oracle="closed form",
    )
    row = law_of_cases(f"multilabel/{name}/left-out", said, 1e-12, cases, "definition")
    return [row, never]


def _paths(name: str, build: Callable[[], Path]) -> list[Law]:
    path = build()
    said = "an end has its limit, as a number and as a tensor"
    again = "predictions at an end give the data back, or are refused"
    no_score = "where there is no noise there is no score, in words"
    return [
        law_of_cases(f"diffusion/{name}/ends", said, 1e-4, partial(at_ends, path), "definition"),
        law_of_cases(
            f"diffusion/{name}/ends-convert", again, 1e-9, partial(converted, path), "contract"
        ),
        Law(
            f"diffusion/{name}/ends-score",
            no_score,
            0.0,
            partial(score_refused, path),
            oracle="contract",
        ),
    ]


LAWS = [
    *(law for name, method in MULTILABEL.items() for law in _losses(name, method.build)),
    *(law for name, method in PATHS.items() for law in _paths(name, method.build)),
    stated("diffusion/paths/forgetting", 1e-6, betas, "golden value"),
    stated("multilabel/zlpr/linear-left-out", 1e-12, linear_left_out, "definition"),
]
