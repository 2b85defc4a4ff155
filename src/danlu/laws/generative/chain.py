"""Laws of chains: contributions against autograd, splits against a Gaussian, dequantisation."""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.functional import jacobian
from torch.distributions import MultivariateNormal, Normal

from danlu.contracts import DataDescription
from danlu.generative.chain import Chain, ChainOptions, Layer
from danlu.generative.parts.affine import Linear, Normalise
from danlu.generative.parts.dequantise import Dequantise
from danlu.generative.parts.priors import GaussianPrior
from danlu.generative.parts.split import Split
from danlu.laws.draws import standard_normal
from danlu.laws.gaps import deviation, excess, gap, largest, sigmas
from danlu.laws.generative.diffusion.test_bed import item_noise
from danlu.laws.law import Rows, table

DIM = 4


def vectors(dim: int) -> DataDescription:
    """Continuous vectors."""
    return DataDescription(shape=(dim,), levels=None, low=-3.0, high=3.0)


def bijections() -> list[Layer]:
    """One of each, away from the identity."""
    normalise = Normalise(standard_normal(DIM, stream=1), standard_normal(DIM, stream=2).exp())
    linear = Linear(DIM).double()
    with torch.no_grad():
        linear.weight.copy_(torch.eye(DIM) + 0.4 * standard_normal(DIM, DIM, stream=3))
        linear.bias.copy_(standard_normal(DIM, stream=4))
    return [normalise, linear]


def volumes() -> float:
    """Contributions are log|det| of the Jacobian by autograd."""
    layers, x, worst = bijections(), standard_normal(5, DIM), 0.0
    chain = Chain(vectors(DIM), layers, GaussianPrior(vectors(DIM)))
    encoders: list[Callable[[Tensor], Any]] = [
        lambda v, f=layer: f.encode(v, None, item_noise(1)) for layer in layers
    ]
    encoders.append(lambda v: chain.contributions(v, None, item_noise(1)))
    for encode in encoders:
        for row in x.split(1):
            matrix = jacobian(lambda v, e=encode: e(v)[0][0], row)
            assert isinstance(matrix, Tensor)
            expected = torch.linalg.slogdet(matrix[:, 0]).logabsdet
            worst = largest(worst, gap(encode(row)[1][0], expected))
    return worst


def inverses() -> float:
    """Decode inverts encode."""
    chain = Chain(vectors(DIM), bijections(), GaussianPrior(vectors(DIM)))
    x = standard_normal(50, DIM)
    return gap(chain.reconstruct(x), x)


def split_chain() -> Chain:
    """A rotation, then a split whose second half is linear in the first."""
    network = nn.Linear(1, 2 * (DIM - 1)).double()
    with torch.no_grad():
        network.weight[:] = standard_normal(2 * (DIM - 1), 1, stream=5)
        network.weight[DIM - 1 :] = 0.0  # the scale does not depend on x1
        network.bias[:] = 0.3 * standard_normal(2 * (DIM - 1), stream=6)
    layers = [*bijections(), Split(1, network)]
    return Chain(vectors(DIM), layers, GaussianPrior(vectors(1))).double()


def splits() -> float:
    """A linear chain with a split is its closed-form Gaussian."""
    chain = split_chain()
    with torch.no_grad():
        split = cast(Split, chain.links[-1])
        network = cast(nn.Linear, split.network)
        mean_2, raw = network(torch.zeros(1, 1).double()).chunk(2, dim=1)
        log_scale = 4 * torch.tanh(raw / 4)
        slope = network.weight[: DIM - 1]
        inner = torch.eye(DIM, dtype=torch.float64)
        inner[1:, :1] = slope
        inner[1:, 1:] = torch.diag(log_scale[0].exp())
        # x = A (inner epsilon + mean) + shift, with A the inverse of both bijections.
        unit = torch.cat([torch.zeros(1, DIM), torch.eye(DIM)]).double()
        back = chain.expand((unit[:, :1], unit[:, 1:]), None, item_noise(DIM + 1))
        a = (back[1:] - back[0]).T
        mean = chain.expand((torch.zeros(1, 1).double(), mean_2), None, item_noise(1))[0]
        exact = MultivariateNormal(mean, covariance_matrix=a @ inner @ inner.T @ a.T)
        x = chain.sample(20)
        found = chain.log_prob(x)
        code = chain.encode(x)
        return largest(gap(found.value, exact.log_prob(x)), gap(chain.decode(code), x))


def two_splits() -> float:
    """Each of several splits gets back what it kept."""
    networks = [nn.Linear(n, 2 * m) for n, m in ((3, 1), (1, 2))]
    layers = [*bijections(), Split(3, networks[0]), Split(1, networks[1])]
    chain = Chain(vectors(DIM), layers, GaussianPrior(vectors(1))).double()
    x = standard_normal(6, DIM)
    code = chain.encode(x)
    sizes = [part.shape[1] for part in code]
    return largest(gap(chain.decode(code), x), gap(sizes, [1, 1, 2]))


def dequantised() -> tuple[Chain, Tensor, Tensor]:
    """A dequantised standard normal, its levels, and their exact log-probabilities."""
    description = DataDescription(shape=(1,), levels=9, low=-2.0, high=2.0)
    chain = Chain(description, [Dequantise(description)], GaussianPrior(vectors(1)))
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    half, normal = description.spacing / 2, Normal(torch.zeros(()).double(), 1.0)
    return chain, x, (normal.cdf(x + half) - normal.cdf(x - half)).log()[:, 0]


def dequantisation(estimator: str) -> float:
    """Standard errors from the exact value; of the ELBO its excess over it beyond chance."""
    chain, x, exact = dequantised()
    noise = item_noise(len(x))
    found = chain.evidence(x, noise, None, ChainOptions(draws=400, estimator=estimator))
    # Importance weights converge to the exact value, the average log-weight stays below it.
    if estimator == "iwae":
        return deviation(found.value, exact, found.stderr)
    return largest(excess(found.value, exact + sigmas(len(x)) * found.stderr))


def rounding() -> float:
    """Dequantised values round back; -log q is the bin's log-size."""
    chain, x, _ = dequantised()
    (layer,) = chain.links
    y, contribution = layer.encode(x, None, item_noise(len(x)))
    back = layer.decode(y, None, item_noise(1))
    return largest(gap(back, x), gap(contribution, math.log(0.5)))


_LAWS: Rows = {
    "automatic differentiation": [
        ("chain/volumes", 1e-9, volumes),
    ],
    "self-consistency": [
        ("chain/inverses", 1e-10, inverses),
        ("chain/splits", 1e-10, two_splits),
    ],
    "closed form": [
        ("chain/split", 1e-9, splits),
        ("chain/rounding", 1e-12, rounding),
    ],
    "statistics": [
        (
            "chain/dequantised-elbo",
            "the dequantised ELBO is below the exact log-probability, but for chance",
            0.0,
            lambda: dequantisation("elbo"),
        ),
        (
            "chain/dequantised-iwae",
            "importance-weighted dequantisation is exact, in standard errors",
            sigmas(9),
            lambda: dequantisation("iwae"),
        ),
    ],
}

LAWS = table(_LAWS)
