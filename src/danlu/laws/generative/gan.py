"""Laws of divergences: optimal critics, transport on the line, penalties in closed form."""

import math

import torch
from scipy.stats import wasserstein_distance
from torch import Tensor

from danlu.laws.draws import seeded, standard_normal
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Rows, table
from danlu.losses.divergences import (
    LEAST_SQUARES,
    MINIMAX,
    NON_SATURATING,
    RELATIVISTIC,
    WASSERSTEIN_GP,
    GradientPenalty,
    Judged,
    SlopePenalty,
)

P = torch.tensor([0.5, 0.2, 0.2, 0.1, 0.0], dtype=torch.float64)
Q = torch.tensor([0.1, 0.1, 0.3, 0.3, 0.2], dtype=torch.float64)
COUNT = 10


def repeated(values: Tensor, p: Tensor) -> Tensor:
    """A batch that holds each value as often as its probability says."""
    return values.repeat_interleave((p * COUNT).round().long())


def judged(logit: Tensor, *seen: Tensor) -> Judged:
    """Logits, and the examples where a formula needs them."""
    return Judged(logit, seen)


def optimal_value() -> float:
    """The value at the optimal critic is 2 JS - 2 ln 2."""
    middle = (P + Q) / 2
    js = 0.5 * (torch.special.xlogy(P, P / middle) + torch.special.xlogy(Q, Q / middle)).sum()
    expected = 2 * js - 2 * math.log(2)
    logit = (P / Q).log()  # -inf where p vanishes: softplus takes it
    worst = 0.0
    for row in (MINIMAX, NON_SATURATING):
        value = -row.critic(judged(repeated(logit, P)), judged(repeated(logit, Q))).mean()
        worst = largest(worst, gap(value, expected))
    return worst


def optimal_critics() -> float:
    """The critic's loss is stationary at its known optimum."""
    p, q = P[:4], Q[:4] / Q[:4].sum()
    worst = 0.0
    optima = [
        (MINIMAX, (p / q).log()),
        (NON_SATURATING, (p / q).log()),
        (LEAST_SQUARES, p / (p + q)),
    ]
    for row, optimum in optima:
        logit = optimum.clone().requires_grad_()
        # Every pair (x from p, y from q).
        x, y = torch.meshgrid(logit, logit, indexing="ij")
        terms = row.critic(judged(x.flatten()), judged(y.flatten())).view_as(x)
        (gradient,) = torch.autograd.grad((p[:, None] * q * terms).sum(), logit)
        worst = largest(worst, gap(gradient, 0.0))
    return worst


def generators() -> float:
    """The generators' slopes are their closed forms."""
    real, fake = standard_normal(20), standard_normal(20, stream=1).requires_grad_()
    sigmoid = torch.sigmoid(fake)
    expected = {
        MINIMAX: -sigmoid,
        NON_SATURATING: sigmoid - 1,
        LEAST_SQUARES: fake - 1,
        WASSERSTEIN_GP: -torch.ones_like(fake),
        RELATIVISTIC: -torch.sigmoid(real - fake),
    }
    return largest(
        gap(
            torch.autograd.grad(row.generator(judged(real), judged(fake)).sum(), fake)[0],
            slope,
        )
        for row, slope in expected.items()
    )


def transport() -> float:
    """The optimal 1-Lipschitz critic's value on the line is W1."""
    x, y = standard_normal(40), 1.5 * standard_normal(40, stream=1) + 0.4
    points = torch.cat([x, y]).sort().values
    below = [(v[None] <= points[:-1, None]).double().mean(1) for v in (x, y)]
    slope = torch.sign(below[1] - below[0])
    f = torch.cat([torch.zeros(1).double(), (slope * points.diff()).cumsum(0)])
    real, fake = (f[torch.searchsorted(points, v)] for v in (x, y))
    value = -WASSERSTEIN_GP.critic(judged(real), judged(fake)).mean().item()
    return gap(value, wasserstein_distance(x.numpy(), y.numpy()))


def penalties() -> float:
    """Penalties of linear critics and their gradients are closed forms; unit slope costs 0.

    The critic sees four numbers as one tensor, or as two of other shapes, such as data and code.
    """
    x, y, worst = standard_normal(30, 4), standard_normal(30, 4, stream=1), 0.0
    direction = torch.nn.functional.normalize(standard_normal(4, stream=2), dim=0)
    for cut in (lambda v: (v,), lambda v: (v[:, :3].unflatten(1, (3, 1)), v[:, 3:])):
        with seeded():
            for slope in (0.3, 1.0, 2.0):
                w = (slope * direction).requires_grad_()

                def critic(*seen: Tensor, w: Tensor = w) -> Tensor:
                    return torch.cat([part.flatten(1) for part in seen], dim=1) @ w

                cases = {
                    GradientPenalty(10.0): (10 * (slope - 1) ** 2, 20 * (slope - 1)),
                    SlopePenalty(1.0): (slope**2 / 2, slope),
                    SlopePenalty(1.0, on_fake=True): (slope**2, 2 * slope),
                }
                for penalty, (value, rate) in cases.items():
                    real, fake = judged(x @ w, *cut(x)), judged(y @ w, *cut(y))
                    found = penalty(critic, real, fake)
                    (gradient,) = torch.autograd.grad(found, w)
                    worst = largest(worst, gap(found.item(), value))
                    worst = largest(worst, gap(gradient, rate * direction))
    return worst


def between() -> float:
    """An example's tensors are mixed by one share."""
    real, fake = torch.zeros(50, 2).double(), torch.ones(50, 2).double()
    shares: list[Tensor] = []

    def critic(x: Tensor, z: Tensor) -> Tensor:
        shares.append(x.detach() - z.detach())
        return (x + z).sum(1)

    with seeded():
        found = GradientPenalty(1.0)(
            critic, judged(real[:, 0], real, real), judged(fake[:, 0], fake, fake)
        )
    return largest(gap(shares[0], 0.0), gap(found, torch.tensor(1.0).double()))


_LAWS: Rows = {
    "closed form": [
        ("gan/value", 1e-12, optimal_value),
        ("gan/optimum", 1e-12, optimal_critics),
        ("gan/generators", 1e-12, generators),
        ("gan/penalties", 1e-12, penalties),
        ("gan/between", 1e-12, between),
    ],
    "independent package": [
        ("gan/transport", 1e-12, transport),
    ],
}

LAWS = table(_LAWS)
