"""Laws of kernel densities: scikit-learn and scipy, quadrature, and the maximum of likelihood."""

import math

import numpy as np
import torch
from scipy.stats import gaussian_kde
from sklearn.neighbors import KernelDensity as Peer
from torch import Tensor

from danlu.contracts import Classes, DataDescription
from danlu.data import Examples
from danlu.generative.kernel_density import KernelDensity
from danlu.generative.kernel_density.bandwidth import best_bandwidth, squared_distances
from danlu.laws.draws import seed, standard_normal
from danlu.laws.gaps import deviation, excess, gap, largest, sigmas
from danlu.laws.generative.chain import vectors
from danlu.laws.generative.family import family_laws
from danlu.laws.generative.subjects import examples
from danlu.laws.law import Law, Rows, table

N, CLASSES = 40, 3
PLANE = DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0, condition=Classes(CLASSES))


def tiny(description: DataDescription) -> KernelDensity:
    """Fitted to a few random examples."""
    batch = examples(description)
    return KernelDensity.fit(Examples(batch.x, batch.condition, description), description)


def clusters() -> tuple[Tensor, Tensor]:
    """Points of three classes in the plane."""
    ids = torch.arange(N) % CLASSES
    return 0.5 * standard_normal(N, 2) + ids[:, None].double(), ids


def fitted() -> tuple[KernelDensity, Tensor, Tensor, Tensor]:
    """A model in the plane, its points, their classes and its bandwidths."""
    x, ids = clusters()
    model = KernelDensity.fit(Examples(x, ids, PLANE), PLANE)
    return model, x, ids, model.kernels.log_bandwidth.exp()


def against_peers() -> float:
    """Densities of all and of each class are scikit-learn's and scipy's."""
    model, x, ids, bandwidth = fitted()
    y, worst = standard_normal(30, 2, stream=1), 0.0
    for row in range(CLASSES + 1):
        chosen = x if row == CLASSES else x[ids == row]
        peer = Peer(bandwidth=bandwidth[row].item()).fit(chosen.numpy())
        found = model.log_prob(y, condition=None if row == CLASSES else row).value
        worst = largest(worst, gap(found.numpy(), peer.score_samples(y.numpy())))
    line = KernelDensity.fit(Examples(x[:, :1], None, vectors(1)), vectors(1))
    factor = line.kernels.log_bandwidth.exp().item() / x[:, 0].std().item()
    expected = gaussian_kde(x[:, 0].numpy(), bw_method=factor).logpdf(y[:, 0].numpy())
    found = line.log_prob(y[:, :1]).value
    return largest(worst, gap(found.numpy(), expected))


def moments() -> float:
    """Mass, mean and covariance on a grid are the closed form, by class too."""
    model, x, ids, bandwidth = fitted()
    side = torch.linspace(-6.0, 8.0, 300, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    cell, worst = float(side[1] - side[0]) ** 2, 0.0
    for row in range(CLASSES + 1):
        chosen = x if row == CLASSES else x[ids == row]
        found = model.log_prob(grid, condition=None if row == CLASSES else row).value
        mass = found.exp() * cell
        mean = mass @ grid
        covariance = (grid - mean).T @ ((grid - mean) * mass[:, None])
        expected = chosen.T.cov(correction=0) + bandwidth[row].square() * torch.eye(2)
        errors = (mass.sum() - 1, mean - chosen.mean(0), covariance - expected)
        worst = largest(worst, *(gap(error, 0.0) for error in errors))
    return worst


def samples() -> float:
    """Samples have the exact moments, in standard errors."""
    model, x, ids, bandwidth = fitted()
    worst, n = [], 2000
    for row in range(CLASSES + 1):
        chosen = x if row == CLASSES else x[ids == row]
        found = model.sample(n, condition=None if row == CLASSES else row, seed=seed(row)).double()
        centred = found - chosen.mean(0)
        products = torch.stack([centred[:, 0], centred[:, 1], *centred.T.square()], dim=1)
        variance = chosen.var(0, correction=0) + bandwidth[row].square()
        expected = torch.cat([torch.zeros(2), variance])
        worst.append(deviation(products.mean(0), expected, products.std(0) / math.sqrt(n)))
    return largest(worst)


def choice() -> float:
    """A bandwidth is a fixed point of EM."""
    x, _ = clusters()
    worst = 0.0
    for points, own in ((standard_normal(30, 2, stream=2), None), (x, torch.arange(N))):
        bandwidth = best_bandwidth(points, x, own)
        squared = squared_distances(points, x)
        weight = -squared / (2 * bandwidth**2)
        if own is not None:
            weight.fill_diagonal_(-math.inf)
        step = ((weight.softmax(1) * squared).sum(1).mean() / 2).sqrt().item()
        worst = largest(worst, gap(step / bandwidth, 1))
    return worst


def leaving_one_out() -> float:
    """No bandwidth beside the chosen one is likelier when each example is left out."""
    x, _ = clusters()
    best = best_bandwidth(x, x, torch.arange(N))

    def likelihood(bandwidth: float) -> float:
        kept = [np.delete(x.numpy(), i, axis=0) for i in range(N)]
        fits = [Peer(bandwidth=bandwidth).fit(rest) for rest in kept]
        return sum(fit.score(x[i : i + 1].numpy()) for i, fit in enumerate(fits))

    beside = torch.tensor([likelihood(best * factor) for factor in (0.9, 0.99, 1.01, 1.1)])
    return excess(beside, likelihood(best))


_LAWS: Rows = {
    "independent package": [
        ("kernel-density/peers", 1e-10, against_peers),
        ("kernel-density/leave-one-out", 0.0, leaving_one_out),
    ],
    "closed form": [
        ("kernel-density/moments", 1e-9, moments),
    ],
    "statistics": [
        ("kernel-density/samples", sigmas(16), samples),
    ],
    "definition": [
        ("kernel-density/bandwidth", 1e-3, choice),
    ],
}

LAWS: list[Law] = [
    *table(_LAWS),
    *family_laws("kernel-density", tiny),
]
