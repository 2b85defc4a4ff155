"""A model of three players in two turns: bidirectional adversarial learning of a Gaussian code.

The critic sees pairs, (x, E(x)) against (G(z), z); encoder and generator both play against it.
"""

from dataclasses import replace

import torch
from torch import nn
from torch.nn.functional import softplus

from danlu.backbones.mlp import MLP
from danlu.contracts import DataDescription, Losses, Player, Stage
from danlu.contracts.noise import BatchNoise
from danlu.data import Examples, ExampleStream
from danlu.generative.base import GenerativeModel
from danlu.generative.tiny import TINY
from danlu.laws.generative.family import family_laws
from danlu.training import Budget, Plan, Trainer

PLAYERS = ("critic", "encoder", "generator")


class Bidirectional(GenerativeModel):
    can = frozenset({"sample", "encode", "decode", "reconstruct"})

    def __init__(self, description, latent=2, width=16):
        super().__init__(description)
        dims = description.dims
        self.latent = latent
        self.encoder = nn.Sequential(nn.Flatten(), MLP(dims, latent, width=width))
        self.generator = nn.Sequential(
            MLP(latent, dims, width=width), nn.Unflatten(1, description.shape)
        )
        self.critic = MLP(dims + latent, 1, width=width)

    def players(self):
        return {name: [getattr(self, name)] for name in PLAYERS}

    def stages(self):
        plays = (Player("critic", 2), Player("generator"), Player("encoder"))
        return [Stage(name="train", share=1.0, plays=plays)]

    def loss(self, batch, player, progress):
        z = BatchNoise(len(batch), dtype=batch.x.dtype).normal(self.latent)
        real = self.logit(batch.x, self.encoder(batch.x))
        fake = self.logit(self.generator(z), z)
        sign = 1 if player == "critic" else -1
        return Losses.of(
            real=softplus(-sign * real).mean(),
            fake=softplus(sign * fake).mean(),
        )

    def logit(self, x, z):
        return self.critic(torch.cat([x.flatten(1), z], dim=1))[:, 0]

    def draw(self, noise, n, condition, options):
        return self.generator(noise.normal(self.latent))

    @torch.no_grad()
    def encode(self, x, *, condition=None, seed=0):
        return self.encoder(x)

    @torch.no_grad()
    def decode(self, code, *, condition=None, seed=0):
        return self.generator(code)


def unconditional(description=TINY):
    return Bidirectional(replace(description, condition=None))


def stream():
    description = DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0)
    x = torch.randn(256, 2) * torch.tensor([1.0, 0.3]) + 1
    return ExampleStream(Examples(x, None, description), description, batch=32, seed=0)


class Turns:
    """The models' after_step, in order, with who changed."""

    def __init__(self, model):
        self.model, self.turns = model, []
        self.before = self.weights()
        model.after_step = self.after_step

    def weights(self):
        return {
            name: nn.utils.parameters_to_vector(getattr(self.model, name).parameters()).detach()
            for name in PLAYERS
        }

    def after_step(self, player, progress):
        now = self.weights()
        moved = [name for name in PLAYERS if not torch.equal(now[name], self.before[name])]
        self.turns.append((player, moved))
        self.before = now


def test_each_turn_moves_its_player_alone_and_the_order_is_the_stage():
    model = Bidirectional(stream().description)
    turns = Turns(model)
    Trainer(model, stream(), Plan(batch=32), Budget(steps=3)).run()
    order = ["critic", "critic", "generator", "encoder"]
    # The learning rate is 0 in the first step of a warm-up, so nobody need move there.
    assert [player for player, _ in turns.turns] == 3 * order
    assert all(set(moved) <= {player} for player, moved in turns.turns)
    assert {name for _, moved in turns.turns for name in moved} == set(PLAYERS)


def test_a_model_of_three_players_obeys_the_family_laws():
    for law in family_laws("bidirectional", unconditional):
        assert law.measure() <= law.tolerance, law.statement
