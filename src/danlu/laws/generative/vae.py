"""Laws of the VAE: exact linear-Gaussian models, discretised logistic, principal components."""

import math
from itertools import pairwise, product

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from danlu.conditioning.classes import ClassEmbedding
from danlu.contracts import Batch, Condition, DataDescription, Progress
from danlu.generative.chain import ChainOptions
from danlu.generative.parts.affine import ToldAffine
from danlu.generative.parts.priors import GaussianPrior
from danlu.generative.tiny import TINY
from danlu.generative.vae.vae import (
    LABEL_DROP,
    LOG_VARIANCE_LIMIT,
    VAE,
    VAEBlock,
    build,
    divergence,
)
from danlu.laws.draws import seed, seeded, standard_normal
from danlu.laws.gaps import deviation, excess, gap, largest, rarity, sigmas
from danlu.laws.generative.chain import vectors
from danlu.laws.generative.diffusion.test_bed import item_noise
from danlu.laws.law import Rows, table
from danlu.losses.likelihoods import DiscretisedLogistic, Gaussian

DIM, LATENT = 6, 3


class Affine(nn.Module):
    """A linear map that ignores features."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """The image of each row."""
        return x @ self.weight.T + self.bias


def linear_vae(weight: Tensor, bias: Tensor, scale: float, *, error: float = 0.0) -> VAE:
    r"""$x = W z + b + s\epsilon$ with its exact posterior, which `error` spoils.

    The columns of W must be orthogonal: then the posterior is a diagonal Gaussian.
    """
    variance = 1 / (1 + weight.square().sum(0) / scale**2)
    back = variance[:, None] * weight.T / scale**2
    raw = LOG_VARIANCE_LIMIT * torch.atanh((variance.log() + error) / LOG_VARIANCE_LIMIT)
    moments = torch.cat([back, torch.zeros_like(back)])
    dim, latent = weight.shape
    likelihood = Gaussian(vectors(dim)).double()
    with torch.no_grad():
        likelihood.log_scale.fill_(math.log(scale))
    block = VAEBlock(
        Affine(moments, torch.cat([error - back @ bias, raw])),
        Affine(weight, bias),
        likelihood,
        kind=None,
    )
    return VAE(vectors(dim), block, GaussianPrior(vectors(latent))).double()


def known_model(error: float) -> tuple[VAE, Tensor, Tensor]:
    """A linear VAE, draws from it, and their exact log-likelihood."""
    weight = (
        torch.linalg.qr(standard_normal(DIM, LATENT, stream=1)).Q
        * torch.tensor([2.0, 1.0, 0.5]).double()
    )
    bias, scale = standard_normal(DIM, stream=2), 0.6
    covariance = weight @ weight.T + scale**2 * torch.eye(DIM, dtype=torch.float64)
    exact = MultivariateNormal(bias, covariance_matrix=covariance)
    x = (
        bias
        + standard_normal(300, LATENT, stream=3) @ weight.T
        + scale * standard_normal(300, DIM, stream=4)
    )
    return linear_vae(weight, bias, scale, error=error), x, exact.log_prob(x)


def evidence(model: VAE, x: Tensor, draws: int, estimator: str) -> Tensor:
    """The bound of each example from the same noise."""
    options = ChainOptions(draws=draws, estimator=estimator)
    return model.log_prob(x, options=options).value.detach()


def exact_posterior() -> float:
    """With the exact posterior every log-weight is log p."""
    model, x, exact = known_model(error=0.0)
    noise, worst = item_noise(len(x)), 0.0
    for _ in range(5):
        z, contribution = model.contributions(x, None, noise)
        assert isinstance(z, Tensor)
        weight = contribution + model.prior.evidence(z, noise, None, None).value
        worst = largest(worst, gap(weight, exact))
    return worst


def ordered() -> float:
    """The ELBO is at most IWAE-k on the same draws."""
    model, x, _ = known_model(error=0.5)
    return largest(
        excess(evidence(model, x, k, "elbo"), evidence(model, x, k, "iwae")) for k in (2, 5, 20)
    )


def below_exact() -> float:
    """IWAE-k grows with k and stays below the exact log p, but for chance."""
    model, x, exact = known_model(error=0.5)
    bounds = [evidence(model, x, k, "iwae") for k in (2, 8, 32)] + [exact]
    excesses = [smaller - larger for smaller, larger in pairwise(bounds)]
    return largest(excess(e.mean(), sigmas(3) * e.std() / math.sqrt(len(e))) for e in excesses)


def loss_is_elbo() -> float:
    """The expected loss is -log p with the exact posterior, in standard errors."""
    model, x, exact = known_model(error=0.0)
    batch = Batch(x, None, torch.arange(len(x)))
    with seeded(), torch.no_grad():
        losses = [model.loss(batch, "model", Progress(0, 0.0, 0)).total for _ in range(100)]
    found = DIM * torch.stack(losses) + exact.mean()
    return deviation(found.mean(), 0.0, found.std() / math.sqrt(len(found)))


def analytic_divergence() -> float:
    """The analytic KL is torch.distributions'."""
    mean, log_variance = standard_normal(50, LATENT), 2 * standard_normal(50, LATENT, stream=1)
    q = Normal(mean, (0.5 * log_variance).exp())
    expected = kl_divergence(q, Normal(torch.zeros_like(mean), 1.0)).sum(1)
    return gap(divergence(mean, log_variance), expected)


def class_prior() -> float:
    """The rate is the KL from the Gaussian of the example's class."""
    model = build()
    affine = model.layers[1]
    assert isinstance(affine, ToldAffine)
    assert isinstance(affine.moments, ClassEmbedding)
    torch.nn.init.normal_(affine.moments.table.weight, std=0.5)
    model = model.double()
    x, condition = standard_normal(9, *TINY.shape), Condition(torch.arange(9) % TINY.classes)
    with seeded(), torch.no_grad():
        found = model.loss(Batch(x, condition, torch.arange(9)), "model", Progress(0, 0.0, 0))
        torch.manual_seed(seed())
        kept = model.block.embedding.drop(condition, LABEL_DROP)
        mean, log_variance = model.block.posterior(x, kept)
        shift, log_scale = affine.shift_and_log_scale(kept, 9)
        q, p = Normal(mean, (0.5 * log_variance).exp()), Normal(shift, log_scale.exp())
        return gap(found.parts["rate"], kl_divergence(q, p).sum(1).mean())


def logistic_bins() -> list[tuple[Tensor, Tensor, Tensor]]:
    """(mass `[levels, cases]`, levels, mean `[cases]`) over locations and scales, some extreme."""
    bins = []
    locations = torch.tensor([-30.0, -1.0, -0.3, 0.0, 0.77, 1.0, 5.0], dtype=torch.float64)
    raw = torch.tensor([-200.0, -5.0, -1.0, 0.0, 2.0, 10.0], dtype=torch.float64)
    pairs = torch.tensor(list(product(locations.tolist(), raw.tolist())), dtype=torch.float64)
    for levels in (2, 17, 256):
        description = DataDescription(shape=(len(pairs),), levels=levels, low=-1.0, high=1.0)
        likelihood = DiscretisedLogistic(description)
        x = torch.linspace(-1, 1, levels, dtype=torch.float64)
        output = pairs.T.reshape(1, -1)
        mass = likelihood.log_mass(
            x[:, None].expand(-1, len(pairs)), output.expand(levels, -1)
        ).exp()
        bins.append((mass, x, likelihood.mean(output)[0]))
    return bins


def bins_sum() -> float:
    """The bins of the discretised logistic sum to 1."""
    return largest(gap(mass.sum(0), 1) for mass, _, _ in logistic_bins())


def bins_mean() -> float:
    """Its mean is the sum over its levels."""
    return largest(gap(x @ mass, mean) for mass, x, mean in logistic_bins())


def bins_drawn() -> float:
    """Its draws have its masses, in standard errors."""
    n = 20_000
    description = DataDescription(shape=(n,), levels=9, low=-1.0, high=1.0)
    likelihood = DiscretisedLogistic(description)
    output = torch.cat([torch.full((1, n), 0.3), torch.full((1, n), 0.5)], 1).double()
    x = likelihood.draw(output, item_noise(1))[0]
    levels = torch.linspace(-1, 1, 9, dtype=torch.float64)
    one = DiscretisedLogistic(DataDescription(shape=(1,), levels=9, low=-1.0, high=1.0))
    p = one.log_mass(levels[:, None], torch.tensor([[0.3, 0.5]]).double().expand(9, -1))[:, 0].exp()
    return rarity((x[:, None] - levels).abs().lt(1e-9).sum(0), n, p)


_LAWS: Rows = {
    "closed form": [
        ("vae/exact-posterior", 1e-12, exact_posterior),
    ],
    "self-consistency": [
        ("vae/elbo-iwae", 0.0, ordered),
    ],
    "statistics": [
        ("vae/iwae-exact", 0.0, below_exact),
        ("vae/loss", sigmas(), loss_is_elbo),
        ("likelihoods/draws", sigmas(9), bins_drawn),
    ],
    "independent package": [
        ("vae/divergence", 1e-12, analytic_divergence),
        ("vae/class-prior", 1e-12, class_prior),
    ],
    "enumeration": [
        ("likelihoods/bins", 1e-12, bins_sum),
        ("likelihoods/mean", 1e-12, bins_mean),
    ],
}

LAWS = table(_LAWS)
