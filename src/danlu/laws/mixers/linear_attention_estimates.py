"""Laws of softmax attention in linear time: random features, and quantised keys."""

import math
from functools import partial

import numpy as np
import torch
from scipy.special import hyp0f1, hyp1f1
from torch import Tensor
from torch.nn.functional import layer_norm

from danlu.contracts import SequenceContext
from danlu.laws.draws import seed, seeded
from danlu.laws.gaps import deviation, excess, gap, largest, sigmas
from danlu.laws.law import Rows, table
from danlu.laws.mixers.sequences import made, tokens
from danlu.mixers.performer import Performer, exponents, orthogonal_rows
from danlu.mixers.transformer_vq import TransformerVQ

DRAWS, SIZE = 6000, 4


def _pair() -> tuple[Tensor, Tensor]:
    """A query and a key as the scores see them, with a norm of the sum of about 1."""
    q = torch.tensor([0.5, -0.2, 0.1, 0.4], dtype=torch.float64)
    return q, torch.tensor([0.3, 0.1, -0.2, 0.2], dtype=torch.float64)


def _products(q: Tensor, k: Tensor, projection: Tensor) -> Tensor:
    """The product of each feature of a query and a key, whose mean over draws is exp(q k)."""
    q, k = (x * SIZE**0.25 for x in (q, k))  # the layer takes this factor off
    return (exponents(q, projection) + exponents(k, projection)).exp()


def features_are_unbiased() -> float:
    """Mean and variance are known."""
    q, k = _pair()
    nodes, mass = np.polynomial.hermite_e.hermegauss(60)
    along = (q + k) / (q + k).norm()  # nothing else of the projection matters
    found = _products(q, k, torch.from_numpy(nodes)[:, None] * along)
    mass = torch.from_numpy(mass / math.sqrt(2 * math.pi))
    mean, square = (mass * found).sum(), (mass * found.square()).sum()
    size = (q + k).square().sum()
    variance = size.exp() * (2 * q @ k).exp() * (1 - (-size).exp())
    return largest(gap(mean, (q @ k).exp()), gap(square - mean**2, variance))


def _blocks() -> Tensor:
    """Blocks of orthogonal rows, one for each draw."""
    rows = orthogonal_rows(DRAWS * SIZE, SIZE, norms="chi", seed=seed()).double()
    return rows.unflatten(0, (DRAWS, SIZE))


def orthogonal_is_unbiased() -> float:
    """Orthogonal rows are unbiased, in standard errors."""
    q, k = _pair()
    found = _products(q, k, _blocks().flatten(0, 1)).unflatten(0, (DRAWS, SIZE)).mean(-1)
    return deviation(found.mean(), (q @ k).exp(), found.std() / math.sqrt(DRAWS))


def orthogonal_is_better() -> float:
    """And vary together less than independent ones, by the closed form, in standard errors."""
    # Estimates are lognormal, and of such a sample the variance says little. So every pair of rows
    # is turned in all directions at once: with u = q + k, exp(u w) of a vector of length r averages
    # to 0F1(d / 2, (|u| r / 2)^2). Of rows of chi lengths that averages to 1F1(d, d / 2, |u|^2 / 2)
    # if they are orthogonal and to exp |u|^2, which is more, if they are independent.
    q, k = _pair()
    size, rows = (q + k).square().sum().item(), _blocks()
    first, second = torch.triu_indices(SIZE, SIZE, 1)
    length = (rows[:, first] + rows[:, second]).square().sum(-1)
    found = torch.from_numpy(hyp0f1(SIZE / 2, size / 4 * length.numpy())).mean(-1)
    orthogonal = hyp1f1(SIZE, SIZE / 2, size / 2)
    if not orthogonal < math.exp(size):
        return math.inf
    return deviation(found.mean(), orthogonal, found.std() / math.sqrt(DRAWS))


def rows_are_orthogonal() -> float:
    """Equal rows are orthogonal."""
    rows = orthogonal_rows(10, SIZE, norms="equal", seed=seed(3)).double()
    worst = 0.0
    for block in rows.split(SIZE):
        worst = largest(worst, gap(block @ block.T, SIZE * torch.eye(len(block)).double()))
    return worst


def large_keys_stay_finite() -> float:
    """Large keys are no zero by zero."""
    mixer = made(partial(Performer, SIZE, heads=1, features=6))
    x = tokens(mixer, 7) / 20
    # Away from 0 by the same length, whatever was drawn, so that every exponent is far below 0.
    x = x + 10 * x[:, :1] / x[:, :1].norm(dim=-1, keepdim=True)
    with torch.no_grad():
        mixer.key.weight.copy_(12 * torch.eye(SIZE))
    if excess(exponents(mixer.key(x), mixer.projection), -800.0) > 0:
        return math.inf  # nothing would be tested
    y, state = mixer(x[:, :4])
    y = torch.cat([y, mixer(x[:, 4:], None, state)[0]], dim=1)
    first = mixer.output(mixer.value(x[:, :1]))
    return gap([y[:, :1], y.isfinite()], [first, torch.ones_like(y)])


def redraw_follows_steps() -> float:
    """Features change when told."""
    mixer, wrong = Performer(SIZE, heads=1, features=6, redraw_every=3), 0
    for step in range(1, 8):
        before = mixer.projection.clone()
        mixer.after_step(step)
        wrong += bool((mixer.projection != before).any()) != (step % 3 == 0)
    return float(wrong)


def codes_start_at_keys() -> float:
    """Excess of the commitment after the start over half of before, and its error by distances."""
    mixer = made(partial(TransformerVQ, 6, size=4, codes=8, block=3)).train()
    x, losses = tokens(mixer, 60), []
    for _ in range(2):
        context = SequenceContext()
        mixer(x, context)
        losses.append(dict(context.penalties)["commitment"].item())
        with seeded():
            mixer.start(x)
    k = layer_norm(mixer.inward(x).split(mixer.sizes, dim=-1)[3], (4,))
    context = SequenceContext()
    mixer(x, context)
    reported = dict(context.penalties)["commitment"]
    distance = torch.cdist(k, mixer.codebook.vectors[None]).amin(-1).square().mean()
    return largest(losses[1] - losses[0] / 2, gap(reported, distance))


_SINGLE: Rows = {
    "quadrature": [
        ("performer/unbiased", 1e-12, features_are_unbiased),
    ],
    "statistics": [
        ("performer/orthogonal", sigmas(), orthogonal_is_unbiased),
        ("performer/variance", sigmas(), orthogonal_is_better),
    ],
    "closed form": [
        ("performer/orthogonal-rows", 1e-5, rows_are_orthogonal),
        ("performer/large-keys", 1e-9, large_keys_stay_finite),
    ],
    "contract": [
        ("performer/redraw", 0.0, redraw_follows_steps),
        ("transformer-vq/start", "k-means halves the commitment", 1e-12, codes_start_at_keys),
    ],
}

LAWS = table(_SINGLE, prefix="mixers/")
