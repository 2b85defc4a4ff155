r"""Generative adversarial network: a generator that a critic cannot tell from the data.

The critic $T(x, c)$ and the generator $G(z, c)$, $z \sim \mathcal N(0, I)$, take turns with the
two losses of one row of `DIVERGENCES`; the critic's constraint belongs to the row. The critic
sees the condition by projection, $T(x, c) = v^\top\phi(x) + e_c^\top\phi(x)$. Samples come from the
running average of the generator's weights.

What is judged, `real` and `fake`, are tuples of tensors, which the critic takes as they are: a
family with an encoder gives a critic $T(x, z, c)$ both, $(x, E(x))$ against $(G(z), z)$.

Use it for the sharpest samples at a single network pass; it has no likelihood and no encoder.

Sources: arXiv:1406.2661 (the game), arXiv:1802.05637 eq. 5 (projection critic),
arXiv:1801.04406 (R1), arXiv:1704.00028 (WGAN-GP); losses in `danlu.losses.divergences`.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.backbones.convnets import PlainBlock
from danlu.conditioning import conditioner
from danlu.contracts import (
    Batch,
    DataDescription,
    Export,
    Losses,
    Player,
    Port,
    Progress,
    Stage,
    Told,
    unknown,
)
from danlu.contracts.noise import BatchNoise, Noise
from danlu.generative.base import GenerativeModel
from danlu.generative.decoding import ToldFunction, data_port, told_example, told_ports
from danlu.generative.parts.networks import decoder, encoder
from danlu.generative.recipe import Recipe, Recipes, Regime
from danlu.generative.tiny import TINY
from danlu.losses import DIVERGENCES
from danlu.losses.divergences import Divergence, Judged, Seen
from danlu.optim import OptimizerOptions
from danlu.optim.plan import Plan

LABEL_DROP = 0.1
"""Probability of training on an example without its class."""
CONDITION_FEATURES = 32
"""Size of what the generator is told."""


class Generator(nn.Module):
    """Noise and class to data; images are bounded to the data's range, vectors are free."""

    def __init__(self, description: DataDescription, latent: int, *, width: int) -> None:
        super().__init__()
        self.description = description
        self.latent = latent
        self.embedding = conditioner(description.condition, CONDITION_FEATURES)
        features = latent + CONDITION_FEATURES
        # The code also modulates every block, beside being its input.
        self.network = decoder(description, features, width=width, features=features)

    def forward(
        self, z: Float[Tensor, "batch latent"], condition: Told = None
    ) -> Float[Tensor, "batch ..."]:
        """One example for each row of noise."""
        h = torch.cat([z, self.embedding.vector(condition, len(z))], dim=1)
        x = self.network(h, h)
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        if not self.description.is_image:
            return x
        low, high = self.description.low, self.description.high
        return low + (high - low) * (1 + torch.tanh(x)) / 2


class Critic(nn.Module):
    """Data and class to a logit, by projection on the class; without any normalisation."""

    def __init__(self, description: DataDescription, *, width: int, features: int = 128) -> None:
        super().__init__()
        self.network = encoder(description, features, width=width, block=PlainBlock)
        self.embedding = conditioner(description.condition, features)
        self.leave = nn.Linear(features, 1)

    def forward(self, x: Float[Tensor, "batch ..."], condition: Told) -> Float[Tensor, " batch"]:
        """The logit of each example."""
        phi = nn.functional.leaky_relu(self.network(x, None), 0.2)
        logit = self.leave(phi)[:, 0]
        logit = logit + (phi * self.embedding.vector(condition, len(x))).mean(1)
        return logit.to(torch.promote_types(logit.dtype, torch.float32))


class GAN(GenerativeModel):
    """A generator and a critic under one row of `DIVERGENCES`.

    Args:
        description: of the data.
        generator: noise and class to data.
        critic: the tensors of `real` or `fake`, then the class, to logits.
        divergence: what the two minimise.
        critic_steps: of the critic for each step of the generator.
    """

    can = frozenset({"sample", "condition"})
    instead: ClassVar[dict[str, str]] = {
        "log_prob": "its samples have no density; use vae or rectified-flow for a likelihood.",
        "encode": "it has no encoder; use vae for codes.",
        "decode": "it has no encoder; use vae for codes.",
        "reconstruct": "it has no encoder; use vae for codes.",
    }

    def __init__(
        self,
        description: DataDescription,
        generator: Generator,
        critic: nn.Module,
        divergence: Divergence,
        *,
        critic_steps: int,
    ) -> None:
        super().__init__(description)
        self.generator = generator
        self.critic = critic
        self.divergence = divergence
        self.critic_steps = critic_steps

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {"critic": [self.critic], "generator": [self.generator]}

    @override
    def stages(self) -> list[Stage]:
        plays = (Player("critic", self.critic_steps), Player("generator"))
        return [Stage(name="train", share=1.0, plays=plays)]

    @override
    def averaged(self) -> list[nn.Module]:
        return [self.generator]

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        condition = self.generator.embedding.drop(batch.condition, LABEL_DROP)
        noise = BatchNoise(len(batch), device=batch.x.device, dtype=batch.x.dtype)
        z = noise.normal(self.generator.latent)
        if player == "critic":
            with torch.no_grad():
                fake = self.fake(z, condition, noise)
                real = self.real(batch.x, z, condition, noise)
            return self._critic_loss(real, fake, z, condition, progress)
        fake = self.judged(self.fake(z, condition, noise), condition)
        # Only a pairwise row looks at the data in the generator's turn.
        real = fake
        if self.divergence.pairwise:
            real = self.judged(self.real(batch.x, z, condition, noise), condition)
        value = self.divergence.generator(real, fake).mean()
        return Losses.of(generator=value, **self.terms(fake, z))

    def real(self, x: Tensor, z: Tensor, condition: Told, noise: Noise) -> Seen:
        """What the critic is to know from the generated; z is the noise of the same turn."""
        return (x,)

    def fake(self, z: Tensor, condition: Told, noise: Noise) -> Seen:
        """What is generated from noise z; may draw more."""
        return (self.generator(z, condition),)

    def judged(self, seen: Seen, condition: Told) -> Judged:
        """Examples with the critic's logits."""
        return Judged(self.critic(*seen, condition), seen)

    def terms(self, fake: Judged, z: Tensor) -> Mapping[str, Tensor]:
        """Further losses of either turn by name, such as how well the critic tells z; none here."""
        return {}

    def _critic_loss(
        self, real: Seen, fake: Seen, z: Tensor, condition: Told, progress: Progress
    ) -> Losses:
        row = self.divergence
        data, generated = self.judged(real, condition), self.judged(fake, condition)
        parts = {"critic": row.critic(data, generated).mean(), **self.terms(generated, z)}
        if row.constraint is None or progress.step % row.constraint_every:
            return Losses.of(**parts)

        def critic(*seen: Tensor) -> Tensor:
            return self.critic(*seen, condition)

        penalty = row.constraint_every * row.constraint(critic, data, generated)
        return Losses.of(**parts, penalty=penalty)

    @override
    def exports(self, options: object) -> dict[str, Export]:
        return {
            "generator": Export(
                about="noise to an example",
                module=ToldFunction(self, self.generator).eval(),
                inputs={"z": Port(about="standard normal values"), **told_ports(self)},
                output=data_port(self),
                example=self._example,
            )
        }

    def _example(self, n: int) -> list[Tensor]:
        noise = BatchNoise(n, device=self.device, dtype=self.dtype)
        return [noise.normal(self.generator.latent), *told_example(self, n)]

    @override
    def draw(self, noise: Noise, n: int, condition: Told, options: object) -> Tensor:
        return self.generator(noise.normal(self.generator.latent), condition)


def build(
    description: DataDescription = TINY,
    *,
    divergence: str = "non-saturating",
    latent: int = 32,
    width: int = 32,
    critic_steps: int = 0,
) -> GAN:
    """A GAN for images or vectors; `critic_steps` 0 takes the divergence's own number."""
    if divergence not in DIVERGENCES:
        raise unknown("divergence", divergence, DIVERGENCES)
    row: Divergence = DIVERGENCES[divergence].target
    return GAN(
        description,
        Generator(description, latent, width=width),
        Critic(description, width=width),
        row,
        critic_steps=critic_steps or row.critic_steps,
    )


def _adversarial(batch: int, rate: float) -> Recipe:
    options = OptimizerOptions(name="adam", rate=rate, betas=(0.0, 0.99), weight_decay=0.0)
    return Recipe(plan=Plan(batch=batch, optimizers={"default": options}))


RECIPES: Recipes = {
    Regime.VECTOR: _adversarial(256, 1e-3),
    Regime.SMALL_IMAGE: _adversarial(64, 2e-3),
    Regime.IMAGE: _adversarial(64, 4e-3),
}
WASSERSTEIN_RECIPES: Recipes = {
    Regime.VECTOR: _adversarial(256, 1e-3),
    Regime.SMALL_IMAGE: _adversarial(64, 1e-3),
    Regime.IMAGE: _adversarial(64, 1e-3),
}
