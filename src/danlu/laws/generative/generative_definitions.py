"""Losses and likelihoods of chains and of models of ids, put together by hand."""

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from danlu.contracts import Batch, Classes, Condition, DataDescription, Progress
from danlu.contracts.noise import BatchNoise
from danlu.contracts.recorded_noise import GivenNoise
from danlu.generative.autoregressive import autoregressive
from danlu.generative.chain import Chain, ChainOptions
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.flow.flow import FlowOptions
from danlu.generative.flow.flow import build as build_flow
from danlu.generative.parts.affine import ToldAffine
from danlu.generative.parts.continuous import Velocity
from danlu.generative.parts.priors import GaussianPrior, LogisticPrior, UniformIds
from danlu.generative.quantized import vq_vae
from danlu.generative.stages import Staged
from danlu.generative.tiny import TINY, TINY_VECTOR
from danlu.generative.vae import vae
from danlu.laws.draws import generator, seeded
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.diffusion.diffusion_losses import NET
from danlu.laws.generative.diffusion.test_bed import item_noise
from danlu.laws.law import Law, stated
from danlu.losses.likelihoods import Gaussian

START = Progress(step=0, fraction=0.0, seed=3)
IDS = DataDescription(shape=(3,), levels=4, low=0.0, high=3.0)
CODE = DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0)


def _with(model: torch.nn.Module) -> None:
    """Weights away from their start, which is often zero."""
    draws = generator(2)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=draws)


def _chain_loss() -> float:
    """A chain's loss is its volumes and its prior's density for each number."""
    classes = DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0, condition=Classes(3))
    layer = ToldAffine(2, Classes(3))
    _with(layer)
    model = Chain(classes, [layer], GaussianPrior(CODE))
    ids, worst = Condition(torch.arange(6) % 3), 0.0
    x = torch.randn(6, 2, generator=generator())
    for play, condition in ((3, ids), (20, None)):
        found = model.loss(Batch(x, ids, torch.arange(6)), "model", Progress(0, 0.0, play))
        z, volume = layer.encode(x, condition, item_noise(6))
        density = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
        worst = largest(worst, gap(found.total, -(volume + density).mean() / 2))
    return worst


def _averages() -> float:
    """Bounds over draws are means, or logarithms of means, with their errors."""
    model = vae.build(TINY_VECTOR, latent=2, width=4)
    _with(model)
    x = torch.rand(3, *TINY_VECTOR.shape, generator=generator())
    noise = item_noise(3)
    draws = torch.stack([model._one_pass(model.prior, x, noise, None).value for _ in range(4)])
    elbo = model.evidence(x, item_noise(3), None, ChainOptions(draws=4, estimator="elbo"))
    iwae = model.evidence(x, item_noise(3), None, ChainOptions(draws=4, estimator="iwae"))
    weights = draws.exp()
    found = (elbo.value, elbo.stderr, elbo.evaluations, iwae.value, iwae.stderr)
    spread = draws.std(0) / 2, weights.std(0) / weights.mean(0) / 2
    # A draw runs the encoder and the decoder.
    return gap(found, (draws.mean(0), spread[0], 2 * 4, weights.mean(0).log(), spread[1]))


def _vq_loss() -> float:
    """The loss is the source's, part by part."""
    model = vq_vae.build(TINY_VECTOR, codes=5, dim=3, width=4)
    _with(model)
    x = torch.rand(6, *TINY_VECTOR.shape, generator=generator())
    model.start(Batch(x, None, torch.arange(6)))
    block, found = model.block, model.loss(Batch(x, None, torch.arange(6)), "model", START)
    z = block.encoder(x)
    code = block.codebook.vectors
    ids = torch.cdist(z, code).argmin(-1)
    distortion = -block.likelihood.log_prob(x, block.decoder(code[ids])).mean()
    commitment = (z - code[ids]).square().mean()
    total = distortion / TINY_VECTOR.dims + 0.25 * commitment
    share = torch.bincount(ids.flatten(), minlength=5) / ids.numel()
    perplexity = torch.special.entr(share).sum().exp()
    parts = [found.parts[name] for name in ("distortion", "commitment")]
    parts.append(found.figures["perplexity"])
    return gap((found.total, parts), (total, [distortion, commitment, perplexity]))


def _vae_loss() -> float:
    """The loss is the source's, part by part."""
    model = vae.build(TINY_VECTOR, latent=2, width=4)
    _with(model)
    x = torch.rand(6, *TINY_VECTOR.shape, generator=generator())
    with seeded(3):
        found = model.loss(Batch(x, None, torch.arange(6)), "model", START)
    mean, log_variance = model.block.posterior(x, None)
    with seeded(3):
        z = mean + (log_variance / 2).exp() * BatchNoise(6, dtype=mean.dtype).normal(2)
    distortion = -model.block.likelihood.log_prob(x, model.block.output(z, None)).mean()
    rate = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean()
    moments = model.block.encoder(x, model.block.embedding.vector(None, 6))
    bounded = 10 * torch.tanh(moments[:, 2:] / 10)
    total = (distortion + rate) / TINY_VECTOR.dims
    return gap((found.total, mean, log_variance), (total, moments[:, :2], bounded))


def _ids() -> float:
    """The loss is the cross-entropy of every id, one prefix at a time."""
    model = autoregressive.build(IDS, dim=8, depth=1)
    _with(model)
    x = torch.randint(4, (5, 3), generator=generator())
    found = model.loss(Batch(x.double(), None, torch.arange(5)), "model", START)
    total = torch.zeros(())
    for place in range(3):
        given = torch.cat(
            [model.embedding.vector(None, 5)[:, None], model.tokens(x[:, :place])], dim=1
        )
        y, _ = model.stack(given)
        total = total + cross_entropy(model.logits(y[:, -1]), x[:, place])
    return gap(found.total, total / 3)


def _priors() -> float:
    """Densities and draws of fixed priors."""
    z, u = torch.randn(4, 2, generator=generator()), torch.rand(4, 3, generator=generator(1))
    normal = GaussianPrior(CODE).log_density(z)
    logistic = LogisticPrior(CODE)
    drawn = logistic.draw(GivenNoise([u[:, :2]]), 4, None, None)
    uniform = UniformIds(IDS)
    ids = uniform.draw(GivenNoise([u]), 4, None, None)
    density = torch.exp(-z) / (1 + torch.exp(-z)) ** 2
    return gap(
        (normal, logistic.log_density(z), drawn.sigmoid(), uniform.log_density(ids), ids),
        (
            torch.distributions.Normal(0.0, 1.0).log_prob(z),
            density.log(),
            u[:, :2],
            torch.full((4, 3), -math.log(4)),
            (4 * u).floor().long(),
        ),
    )


def _ends() -> float:
    """A logistic draw is finite whatever uniform number it comes from."""
    u = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    drawn = LogisticPrior(CODE).draw(GivenNoise([u]), 1, None, None)
    most = math.log((1 - 1e-7) / 1e-7)
    return gap(drawn[0].tolist(), [-most, most])


def _staged() -> float:
    """Stages share the budget and add their costs."""
    first = vae.build(TINY_VECTOR, latent=2, width=4)
    model = Staged(TINY_VECTOR, first, GaussianPrior(CODE), share=0.3)
    both = Staged(TINY_VECTOR, first, DiffusionModel(CODE, NET), share=0.3)
    options = both.Options(prior=both.prior.Options(solver="euler", evaluations=5))
    shares = [stage.share for stage in both.stages()]
    cost = [both.sampling_evaluations(options), model.sampling_evaluations(model.Options())]
    return gap((shares, cost), ([0.3, 0.7], [6, 1 + model.prior.sampling_evaluations(None)]))


def _tempered() -> float:
    """A temperature scales the noise of draws."""
    model = build_flow(TINY_VECTOR, couplings=1, width=4)
    _with(model)
    z = torch.randn(4, *TINY_VECTOR.shape, generator=generator())
    found = model.draw(GivenNoise([z]), 4, None, FlowOptions(temperature=0.6))
    return gap(found, model.expand(0.6 * z, None, GivenNoise([])))


def _velocity() -> float:
    """What the velocity is told of time and class."""
    told: list[Tensor] = []

    class Body(torch.nn.Module):
        def forward(self, x: Tensor, features: Tensor) -> Tensor:
            told.append(features)
            return x

    field = Velocity(Body(), Classes(2))
    _with(field)
    t, ids = torch.tensor([0.2, 0.9]), Condition(torch.tensor([1, 0]))
    field(torch.zeros(2, 3), t, ids)
    angles = torch.stack([4.0 ** (i / 3) * t for i in range(4)], dim=1)
    waves = math.sqrt(2) * torch.cat([angles.cos(), angles.sin()], dim=1)
    return gap(told[0], field.enter(waves) + field.classes.vector(ids, 2))


def _gaussian_start() -> float:
    """A Gaussian begins at a tenth of the range."""
    return gap(Gaussian(TINY).log_scale.exp(), 0.1 * (TINY.high - TINY.low))


LAWS: list[Law] = [
    stated("chain/loss", 1e-12, _chain_loss, "definition"),
    stated("chain/averages", 1e-10, _averages, "definition"),
    stated("vq/loss", 1e-6, _vq_loss, "definition"),
    stated("vae/parts", 1e-10, _vae_loss, "definition"),
    stated("autoregressive/loss", 1e-10, _ids, "definition"),
    stated("priors/definitions", 1e-12, _priors, "definition"),
    stated("priors/ends", 1e-8, _ends, "closed form"),
    stated("staged/shares", 1e-15, _staged, "definition"),
    stated("flow/tempered", 1e-12, _tempered, "definition"),
    stated("continuous-flow/velocity", 1e-7, _velocity, "definition"),
    stated("likelihoods/start", 1e-7, _gaussian_start, "golden value"),
]
