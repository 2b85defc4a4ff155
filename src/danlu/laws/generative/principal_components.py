r"""Law of the linear VAE on real data: its optimum is probabilistic principal components.

The ELBO of a linear VAE $x = Wz + b + s\epsilon$, $q(z|x) = \mathcal N(A(x - b), \mathrm{diag}\,v)$
needs only the covariance $C$ of the data: its mean is

$-\tfrac12[D\ln 2\pi s^2 + (\mathrm{tr}\,(I-WA)C(I-WA)^\top + \mathrm{tr}\,W v W^\top)/s^2
+ \mathrm{tr}\,ACA^\top + \sum_i(v_i - 1 - \ln v_i)]$.

Sources: arXiv:1911.02469 (the linear VAE's optimum), doi:10.1111/1467-9868.00196 (pPCA).
"""

import math
from functools import cache
from typing import cast

import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import Tensor

from danlu.generative.chain import ChainOptions, Estimator
from danlu.generative.vae.vae import LOG_VARIANCE_LIMIT, VAE
from danlu.laws.draws import standard_normal
from danlu.laws.gaps import gap
from danlu.laws.generative.vae import Affine, linear_vae
from danlu.laws.law import Rows, table

LATENT = 8
ITERATIONS = 400


class SigmaPoints:
    r"""The points $\pm\sqrt{k}\,e_i$ in turn: their mean is exact for quadratic functions."""

    def __init__(self, n: int) -> None:
        self.n, self.step = n, 0

    def normal(self, *shape: int) -> Tensor:
        """The next point for every item."""
        (k,) = shape
        point = torch.zeros(k, dtype=torch.float64)
        point[self.step // 2] = math.sqrt(k) * (-1) ** self.step
        self.step += 1
        return point.expand(self.n, k)

    def uniform(self, *shape: int) -> Tensor:
        """Refused: these points are exact for normal noise alone."""
        raise TypeError("SigmaPoints stand for normal noise only")


def digits() -> Tensor:
    """All digits on [-1, 1], `[1797, 64]`."""
    return torch.from_numpy(load_digits(return_X_y=True)[0]).double() / 8 - 1


@cache
def trained() -> tuple[VAE, float]:
    """A linear VAE at the optimum that L-BFGS finds, and its mean ELBO in closed form."""
    x = digits()
    dim, bias = x.shape[1], x.mean(0)
    covariance = (x - bias).T @ (x - bias) / len(x)
    weight, back = 0.1 * standard_normal(dim, LATENT), 0.1 * standard_normal(LATENT, dim, stream=1)
    log_variance, log_scale = torch.zeros(LATENT).double(), torch.zeros(()).double()
    variables = [v.requires_grad_() for v in (weight, back, log_variance, log_scale)]
    optimizer = torch.optim.LBFGS(
        variables,
        max_iter=ITERATIONS,
        history_size=50,
        tolerance_change=1e-14,
        tolerance_grad=1e-9,
        line_search_fn="strong_wolfe",
    )

    def negative() -> Tensor:
        optimizer.zero_grad()
        variance, precision = log_variance.exp(), (-2 * log_scale).exp()
        left = torch.eye(dim, dtype=torch.float64) - weight @ back
        error = (left @ covariance * left).sum() + (weight.square() * variance).sum()
        rate = (back @ covariance * back).sum() + (variance - 1 - log_variance).sum()
        loss = dim * (0.5 * math.log(2 * math.pi) + log_scale) + 0.5 * (error * precision + rate)
        loss.backward()
        return loss

    optimizer.step(negative)  # pyright: ignore[reportArgumentType]
    elbo = -negative().item()
    weight, back, log_variance = (v.detach() for v in variables[:3])
    model = linear_vae(weight, bias, log_scale.exp().item())
    encoder = cast(Affine, model.block.encoder)
    with torch.no_grad():
        raw = LOG_VARIANCE_LIMIT * torch.atanh(log_variance / LOG_VARIANCE_LIMIT)
        encoder.weight[:LATENT] = back
        encoder.bias[:] = torch.cat([-back @ bias, raw])
    return model, elbo


def library_elbo() -> float:
    """The ELBO of a trained linear VAE on digits is its closed form."""
    model, elbo = trained()
    x = digits()
    options = ChainOptions(draws=2 * LATENT, estimator=Estimator.ELBO)
    found = model.evidence(x, SigmaPoints(len(x)), None, options).value.mean().item()
    return gap(found, elbo)


def optimum() -> float:
    """A trained linear VAE's ELBO is scikit-learn's PCA log-likelihood, never above it."""
    _, elbo = trained()
    x = digits().numpy()
    n, dim = x.shape
    ratio = n / (n - 1)
    # scikit-learn's variances are over n - 1; this is what that costs in likelihood.
    offset = dim / 2 * (math.log(ratio) + 1 / ratio - 1)
    exact = PCA(LATENT, svd_solver="full").fit(x).score(x) + offset
    return exact - elbo if elbo <= exact + 1e-9 else math.inf


_LAWS: Rows = {
    "closed form": [
        ("vae/linear-elbo", 1e-9, library_elbo),
    ],
    "independent package": [
        ("vae/principal-components", 2e-3, optimum),
    ],
}

LAWS = table(_LAWS)
