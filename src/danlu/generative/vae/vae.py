r"""Variational autoencoder: a decoder of Gaussian codes, trained through an encoder's guess.

$\log p(x) \ge E_{q(z|x)}[\log p(x|z)] - \mathrm{KL}(q(z|x) \,\|\, p(z))$ with
$q(z|x) = \mathcal N(\mu(x), \operatorname{diag}\sigma^2(x))$, $p(z) = \mathcal N(0, I)$ and
$\mathrm{KL} = \tfrac12 \sum_i (\mu_i^2 + \sigma_i^2 - 1 - \ln \sigma_i^2)$; the gradient goes
through $z = \mu + \sigma\epsilon$. Averaging K weights inside the logarithm gives the tighter
importance-weighted bound at evaluation.

Where there are classes, both networks see the class, and the prior is a diagonal Gaussian of its
class, $p(z|c) = \mathcal N(m_c, \operatorname{diag} e^{2 l_c})$, with learned moments. The codes of
a class gather in a place of their own long before the encoder has learned to leave the class out;
draws from one prior for all would show another class than the one asked for. The class is dropped
at times, so that one model is conditional and unconditional.

Use it for codes and a likelihood bound at one network pass; its samples are the softest of all
families, and honest samples are draws from $p(x|z)$, not its means.

Sources: arXiv:1312.6114 eq. 3 and app. B; arXiv:1509.00519 eq. 8 (importance weighting);
arXiv:1701.05517 eq. 2 (discretised logistic); Sohn, Lee and Yan, NIPS 2015, eq. 4 (a prior of the
condition). Also kexue.fm/archives/5253 and 5343.
"""

import math
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.conditioning import conditioner
from danlu.contracts import Batch, Bound, DataDescription, Export, Kind, Losses, Progress, Told
from danlu.contracts.noise import BatchNoise, Noise
from danlu.generative.chain import Chain, ChainOptions, Evaluations, Layer, Output
from danlu.generative.decoding import decoder_export
from danlu.generative.parts.affine import ToldAffine
from danlu.generative.parts.networks import decoder, encoder
from danlu.generative.parts.priors import GaussianPrior
from danlu.generative.recipe import Recipe, Recipes, Regime, plan_of
from danlu.generative.tiny import TINY
from danlu.losses import likelihood_of
from danlu.losses.likelihoods import Likelihood

LABEL_DROP = 0.1
"""Probability of training on an example without its class."""
LOG_VARIANCE_LIMIT = 10.0
"""Bound of the posterior's log-variance, approached smoothly."""
CONDITION_FEATURES = 32
"""Size of the class embedding."""


class VAEBlock(Layer):
    """An encoder, a decoder and a likelihood as one link of a chain.

    Args:
        encoder: (x, features) to mean and raw log-variance of the code, `[batch, 2 * latent]`.
        decoder: (code, features) to the likelihood's output.
        likelihood: what that output means.
        kind: of the condition; None makes the block blind to any.
    """

    bound = Bound.LOWER
    stochastic = True
    evaluations = Evaluations(encode=2, decode=1)

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, likelihood: Likelihood, *, kind: Kind | None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.embedding = conditioner(kind, CONDITION_FEATURES)
        self.measure = likelihood.measure

    @override
    def networks(self) -> list[nn.Module]:
        return [self.encoder, self.decoder]

    def posterior(
        self, x: Float[Tensor, "batch ..."], condition: Told
    ) -> tuple[Float[Tensor, "batch latent"], Float[Tensor, "batch latent"]]:
        """Mean and log-variance of q(z|x)."""
        moments = self.encoder(x, self._features(condition, len(x)))
        moments = moments.to(torch.promote_types(moments.dtype, torch.float32))
        mean, raw = moments.chunk(2, dim=1)
        return mean, LOG_VARIANCE_LIMIT * torch.tanh(raw / LOG_VARIANCE_LIMIT)

    def output(
        self, z: Float[Tensor, "batch latent"], condition: Told
    ) -> Float[Tensor, "batch ..."]:
        """The likelihood's parameters given a code."""
        return self.decoder(z, self._features(condition, len(z)))

    @override
    def encode(
        self, x: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> tuple[Tensor, Float[Tensor, " batch"]]:
        mean, log_variance = self.posterior(x, condition)
        epsilon = noise.normal(mean.shape[1])
        z = mean + (0.5 * log_variance).exp() * epsilon
        log_q = -0.5 * (epsilon.square() + log_variance + math.log(2 * math.pi)).sum(1)
        return z, self.likelihood.log_prob(x, self.output(z, condition)) - log_q

    @override
    def decode(self, code: Tensor, condition: Told, noise: Noise) -> Float[Tensor, "batch ..."]:
        return self.likelihood.draw(self.output(code, condition), noise)

    @override
    def unrounded(self, code: Tensor, condition: Told, noise: Noise) -> Float[Tensor, "batch ..."]:
        return self.likelihood.unrounded(self.output(code, condition), noise)

    @override
    def mean(self, code: Tensor, condition: Told, noise: Noise) -> Float[Tensor, "batch ..."]:
        return self.likelihood.mean(self.output(code, condition))

    def _features(self, condition: Told, n: int) -> Float[Tensor, "n features"]:
        return self.embedding.vector(condition, n)


class VAE(Chain):
    """One `VAEBlock` under a Gaussian prior, by class, trained by the ELBO with the analytic KL."""

    picture_options = ChainOptions(output=Output.MEAN)
    picture_note = "means of p(x|z)"

    def __init__(self, description: DataDescription, block: VAEBlock, prior: GaussianPrior) -> None:
        kind = description.condition
        last = [ToldAffine(prior.description.dims, kind)] if kind else []
        super().__init__(description, [block, *last], prior)

    @property
    def block(self) -> VAEBlock:
        """The layer with the networks."""
        return cast(VAEBlock, self.layers[0])

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {"model": [self.layers]}

    @override
    def exports(self, options: Any) -> dict[str, Export]:
        mean = decoder_export(self, self.prior, Output.MEAN)
        return {**super().exports(options), "decoder-mean": mean}

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        block = self.block
        condition = block.embedding.drop(batch.condition, LABEL_DROP)
        mean, log_variance = block.posterior(batch.x, condition)
        noise = BatchNoise(len(batch), device=mean.device, dtype=mean.dtype)
        z = mean + (0.5 * log_variance).exp() * noise.normal(mean.shape[1])
        distortion = -block.likelihood.log_prob(batch.x, block.output(z, condition)).mean()
        for affine in self.layers[1:]:  # a KL does not change under a bijection
            assert isinstance(affine, ToldAffine)
            shift, log_scale = affine.shift_and_log_scale(condition, len(mean))
            mean, log_variance = (mean - shift) * (-log_scale).exp(), log_variance - 2 * log_scale
        rate = divergence(mean, log_variance).mean()
        # Per number, so that one learning rate and clipping serve all sizes.
        total = (distortion + rate) / self.description.dims
        return Losses(total, {"distortion": distortion, "rate": rate})


def divergence(
    mean: Float[Tensor, "batch latent"], log_variance: Float[Tensor, "batch latent"]
) -> Float[Tensor, " batch"]:
    """KL of a diagonal Gaussian from the standard normal."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def build(
    description: DataDescription = TINY,
    *,
    latent: int = 16,
    width: int = 32,
    likelihood: str = "auto",
) -> VAE:
    """A VAE for images or vectors; `likelihood` is a row of LIKELIHOODS, or auto by levels."""
    output = likelihood_of(description, likelihood)
    block = VAEBlock(
        encoder(description, 2 * latent, width=width, features=CONDITION_FEATURES),
        decoder(
            description,
            latent,
            values=output.parameters_per_number,
            width=width,
            features=CONDITION_FEATURES,
        ),
        output,
        kind=description.condition,
    )
    code = DataDescription(shape=(latent,), levels=None, low=-3.0, high=3.0)
    return VAE(description, block, GaussianPrior(code))


RECIPES: Recipes = {
    Regime.VECTOR: Recipe(plan=plan_of(256, 2e-3)),
    Regime.SMALL_IMAGE: Recipe(plan=plan_of(128, 2e-3)),
    Regime.IMAGE: Recipe(plan=plan_of(64, 4e-3)),
}
