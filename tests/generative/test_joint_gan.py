"""A critic of data and code together: families with an encoder fit the contract of the GAN."""

import pytest
import torch
from torch import nn
from typing_extensions import override

from danlu.backbones.mlp import MLP
from danlu.contracts import Batch, DataDescription, Progress
from danlu.data import Examples, ExampleStream
from danlu.generative.gan.gan import GAN, Generator
from danlu.losses import DIVERGENCES
from danlu.losses.divergences import Judged
from danlu.optim import OptimizerOptions
from danlu.training import Budget, Plan, Trainer

LINE = DataDescription(shape=(1,), levels=None, low=-3.0, high=3.0)
LATENT = 1
START = Progress(step=0, fraction=0.0, seed=0)


class JointCritic(nn.Module):
    """A logit of data and code together."""

    def __init__(self, width):
        super().__init__()
        self.network = MLP(LINE.dims + LATENT, 1, width=width)

    def forward(self, x, z, condition):
        return self.network(torch.cat([x, z], dim=1))[:, 0]


class Bidirectional(GAN):
    """The critic tells (x, E(x)) from (G(z), z); the encoder plays with the generator."""

    can = GAN.can | {"encode"}

    def __init__(self, divergence, width=16, critic_steps=1):
        row = DIVERGENCES[divergence].target
        super().__init__(
            LINE,
            Generator(LINE, LATENT, width=width),
            JointCritic(width),
            row,
            critic_steps=critic_steps,
        )
        self.encoder = MLP(LINE.dims, LATENT, width=width)

    @override
    def players(self):
        return super().players() | {"generator": [self.generator, self.encoder]}

    @override
    def real(self, x, z, condition, noise):
        return (x, self.encoder(x))

    @override
    def fake(self, z, condition, noise):
        return (*super().fake(z, condition, noise), z)

    @override
    def encode(self, x, *, condition=None, seed=0):
        return self.encoder(x)


class Telling(GAN):
    """A critic's first feature is to be the first number of the noise, in either turn."""

    def __init__(self):
        row = DIVERGENCES["non-saturating"].target
        super().__init__(LINE, Generator(LINE, LATENT, width=8), Code(), row, critic_steps=1)

    @override
    def terms(self, fake, z):
        return {"told": (self.critic.network(fake.seen[0])[:, 0] - z[:, 0]).square().mean()}


class Code(nn.Module):
    """An encoder whose mean is the logit."""

    def __init__(self):
        super().__init__()
        self.network = MLP(LINE.dims, LATENT, width=8)

    def forward(self, x, condition):
        return self.network(x).mean(1)


def examples(n=6):
    return Batch(torch.randn(n, 1), None, torch.arange(n))


@pytest.mark.parametrize("name", DIVERGENCES)
def test_every_divergence_judges_data_and_code_together(name):
    model = Bidirectional(name, width=8)
    for player, modules in model.players().items():
        losses = model.loss(examples(), player, START)
        weights = [p for module in modules for p in module.parameters()]
        # The encoder is reached where a row looks at the data in the generator's turn.
        losses.total.backward(inputs=weights)
        reached = [p.grad is not None for p in weights]
        assert all(reached) or (player == "generator" and not DIVERGENCES[name].target.pairwise)
    assert ("penalty" in model.loss(examples(), "critic", START).parts) == (name != "minimax")


def test_rows_see_the_logits_and_the_examples():
    seen = []

    def critic(real, fake):
        seen.append((real, fake))
        return real.logit

    model = Bidirectional("minimax", width=8)
    row = type(model.divergence)(critic=critic, generator=critic, pairwise=True)
    model.divergence, batch = row, examples()
    for player in ("critic", "generator"):
        model.loss(batch, player, START)
    for real, fake in seen:
        assert isinstance(real, Judged)
        assert torch.equal(real.seen[0], batch.x)
        assert torch.equal(real.seen[1], model.encoder(batch.x))
        assert torch.equal(fake.seen[0], model.generator(fake.seen[1]))
        assert torch.equal(fake.logit, model.critic(*fake.seen, None))


def test_terms_of_the_noise_belong_to_both_turns():
    model, batch = Telling(), examples()
    for player in ("critic", "generator"):
        torch.manual_seed(0)
        parts = model.loss(batch, player, START).parts
        torch.manual_seed(0)
        z = torch.randn(len(batch), LATENT)
        told = model.critic.network(model.generator(z))[:, 0]
        assert torch.equal(parts["told"], (told - z[:, 0]).square().mean())


def test_the_encoder_of_a_joint_critic_learns_where_the_generator_puts_a_code():
    torch.manual_seed(0)
    examples = Examples(0.7 * torch.randn(4096, 1), None, LINE)
    data = ExampleStream(examples, LINE, batch=64, seed=0)
    model, z = Bidirectional("relativistic", critic_steps=3), torch.randn(1000, LATENT)

    def told():
        """Share of the noise's variance that the encoder tells from the example."""
        with torch.no_grad():
            codes = model.encoder(model.generator(z))
        return 1 - ((codes - z).square().mean() / z.var()).item()

    before = told()
    options = OptimizerOptions(name="adam", rate=3e-3, betas=(0.0, 0.99), weight_decay=0.0)
    plan = Plan(batch=64, optimizers={"default": options})
    Trainer(model, data, plan, Budget(steps=400)).run()
    assert before < 0.2
    assert told() > 0.9
