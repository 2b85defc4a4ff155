"""Laws of denoisers and flow likelihoods, on exact denoisers."""

import math
from itertools import pairwise

import torch

from danlu.generative.diffusion import likelihood
from danlu.generative.diffusion.analytic import (
    DataSetDenoiser,
    GaussianDenoiser,
    MixtureDenoiser,
    two_dimensional,
)
from danlu.generative.diffusion.denoiser import probability_flow
from danlu.generative.diffusion.paths import Linear
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.diffusion.test_bed import RecordedNoise, points
from danlu.laws.law import Rows, table

LEVELS = (0.1, 0.5, 2.0, 10.0)


def exact_denoisers() -> list[GaussianDenoiser | MixtureDenoiser]:
    """One of each kind of known law, in the plane."""
    covariance = torch.tensor([[1.0, 0.6], [0.6, 0.5]], dtype=torch.float64)
    gaussian = GaussianDenoiser(torch.tensor([0.5, -1.0], dtype=torch.float64), covariance)
    return [gaussian, two_dimensional(), DataSetDenoiser(points(7))]


def tweedie() -> float:
    """The exact denoiser is y + level^2 score."""
    worst = 0.0
    for exact in exact_denoisers():
        for level in LEVELS:
            y = points().requires_grad_()
            (score,) = torch.autograd.grad(exact.log_density(y, level).sum(), y)
            worst = largest(worst, gap(y + level**2 * score, exact(y, level)))
            rows = torch.full((len(y),), level, dtype=torch.float64)
            worst = largest(worst, gap(exact(y, rows), exact(y, level)))
    return worst


def flow_likelihood() -> float:
    """Log p of a mixture by the flow, exact end law."""
    mixture, path, x = two_dimensional(), Linear(), points(16, 1.0)
    first, last = path.time(1e-3), path.time(20.0)
    times = likelihood.dense_at_ends(200, first, last)
    # The flow acts on x = alpha y: volumes change by alpha at both ends.
    start, end = path.at(first).alpha, path.at(last).alpha
    flowed = likelihood.flow(
        probability_flow(mixture, path), start * x, times, likelihood.exact_trace
    )
    final = flowed.end / end
    exact_end = mixture.log_density(final, 20.0) - 2 * math.log(end)
    value = exact_end + flowed.mean() + 2 * math.log(start)
    return gap(mixture.log_density(x, 1e-3), value)


def prior_mismatch() -> float:
    """The error of a Gaussian end law halves as the level doubles."""
    mixture, errors = two_dimensional(), []
    for level in (400.0, 800.0, 1600.0):
        y = level * points(16, 1.0)
        gaussian = likelihood.gaussian_log_density(y, level)
        errors.append((gaussian - mixture.log_density(y, level)).norm().item())
    return largest(gap(after / before, 0.5) for before, after in pairwise(errors))


def hutchinson_is_unbiased() -> float:
    """Averaged over all sign vectors it is the exact trace."""
    mixture, path = two_dimensional(), Linear()
    x = points(8).requires_grad_()
    value = probability_flow(mixture, path)(x, 0.4)
    exact = likelihood.exact_trace(x, value)[0]
    total = torch.zeros_like(exact)
    for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        vector = torch.tensor(signs, dtype=torch.float64).expand_as(x)
        probe = likelihood.hutchinson(RecordedNoise(vector + 0.5), 2, (2,))
        total = total + probe(x, value)[0]
    return gap(total / 4, exact)


_LAWS: Rows = {
    "automatic differentiation": [
        # Logarithms of weights reach thousands, and round to 1e-12 where two of them are near.
        ("diffusion/tweedie", 1e-11, tweedie),
    ],
    "closed form": [
        ("diffusion/flow likelihood", 1e-5, flow_likelihood),
        ("diffusion/prior mismatch", 1e-2, prior_mismatch),
    ],
    "enumeration": [
        ("diffusion/hutchinson", 1e-12, hutchinson_is_unbiased),
    ],
}

LAWS = table(_LAWS)
