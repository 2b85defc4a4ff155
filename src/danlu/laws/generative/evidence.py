"""Laws of typed likelihoods: how they combine, and that priors are densities."""

import math
from itertools import product
from typing import Any

import torch
from scipy.integrate import quad
from torch import Tensor
from typing_extensions import override

from danlu.contracts import Bound, DataDescription, Measure, Told
from danlu.contracts.noise import Noise
from danlu.generative.base import GenerativeModel
from danlu.generative.chain import Chain, ChainOptions, Estimator, Evaluations, Layer
from danlu.generative.parts.priors import FactorisedPrior, GaussianPrior, LogisticPrior
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.diffusion.test_bed import item_noise
from danlu.laws.law import Rows, table

LINE = DataDescription(shape=(1,), levels=None, low=-1.0, high=1.0)
X = torch.zeros(3, 1, dtype=torch.float64)


class Draws(Layer):
    """A layer of a given bound whose contribution is a standard normal draw."""

    stochastic = True

    def __init__(self, bound: Bound, measure: Measure | None) -> None:
        super().__init__()
        self.bound = bound  # pyright: ignore
        self.measure = measure
        self.evaluations = Evaluations(encode=3)

    @override
    def encode(self, x: Tensor, condition: Told, noise: Noise) -> tuple[Tensor, Tensor]:
        return x, noise.normal(1)[:, 0]

    @override
    def decode(self, code: Any, condition: Told, noise: Noise) -> Tensor:
        return code


def claims(bound: Bound, measure: Measure | None, prior: GenerativeModel) -> Chain:
    """A chain over a prior, with one layer of the given bound and measure."""
    return Chain(LINE, [Draws(bound, measure)], prior).double()


def bounds_combine() -> float:
    """A sum of likelihoods has the weaker bound."""
    order = [Bound.EXACT, Bound.LOWER, Bound.NONE]
    wrong = 0
    for one, other in product(order, order):
        weaker = order[max(order.index(one), order.index(other))]
        chain = claims(one, None, claims(other, None, GaussianPrior(LINE)))
        wrong += one.with_(other) is not weaker
        options = ChainOptions(estimator=Estimator.ELBO)
        wrong += chain.log_prob(X, options=options).bound is not weaker
        # An error inside the logarithm breaks any bound.
        wrong += chain.log_prob(X).bound is not Bound.NONE
    return float(wrong)


def errors_add() -> float:
    """The spread over draws is the error, evaluations add up, the first measure decides."""
    worst = 0.0
    for draws in (2, 5):
        prior = claims(Bound.NONE, Measure.LEBESGUE, GaussianPrior(LINE))
        chain = claims(Bound.LOWER, Measure.COUNTING, prior)
        options = ChainOptions(draws=draws, estimator=Estimator.ELBO)
        found = chain.evidence(X, item_noise(len(X)), None, options)
        noise, values, inner = item_noise(len(X)), [], []
        for _ in range(draws):
            contribution = noise.normal(1)[:, 0]
            inner.append(prior.evidence(X, noise, None, ChainOptions()))
            values.append(contribution + inner[-1].value)
        # The spread over draws holds the prior's own error already.
        stderr = torch.stack(values).std(0) / math.sqrt(draws)
        worst = largest(worst, gap(found.value, torch.stack(values).mean(0)))
        worst = largest(worst, gap(found.stderr, stderr))
        worst = largest(worst, gap(found.evaluations, sum(e.evaluations + 3 for e in inner)))
        worst = largest(worst, float(found.measure is not Measure.COUNTING))
    return worst


def integral_of(prior: FactorisedPrior) -> float:
    """Distance from 1 of the integral of the density of one number."""

    def density(z: float) -> float:
        return math.exp(prior.log_density(torch.tensor([[z]], dtype=torch.float64)).item())

    halves = (quad(density, 0, 60, epsabs=1e-13)[0], quad(density, -60, 0, epsabs=1e-13)[0])
    return gap(sum(halves), 1)


_LAWS: Rows = {
    "enumeration": [
        ("evidence/bounds", 0.0, bounds_combine),
    ],
    "definition": [
        ("evidence/errors", 1e-12, errors_add),
    ],
    "quadrature": [
        (
            "priors/gaussian",
            "the Gaussian prior integrates to 1",
            1e-10,
            lambda: integral_of(GaussianPrior(LINE)),
        ),
        (
            "priors/logistic",
            "the logistic prior integrates to 1",
            1e-10,
            lambda: integral_of(LogisticPrior(LINE)),
        ),
    ],
}

LAWS = table(_LAWS)
