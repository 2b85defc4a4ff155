"""Small trainable models of one, two and three players and of two stages, for laws of training."""

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import Batch, DataDescription, Losses, Player, Progress, Stage, Stream
from danlu.contracts.noise import BatchNoise
from danlu.data import Examples, ExampleStream
from danlu.laws.draws import generator, seed, seeded
from danlu.optim import OptimizerOptions
from danlu.training import Budget, Hook, Plan, Policy, Trainer, Training, TrainingRun

Kind = TypeVar("Kind", bound="OnePlayer")

WIDTH = 3
DESCRIPTION = DataDescription(shape=(WIDTH,), levels=None, low=-3.0, high=3.0)


def normal(x: Tensor) -> Tensor:
    """Training noise like x."""
    return BatchNoise(len(x), dtype=x.dtype).normal(*x.shape[1:])


class OnePlayer(nn.Module):
    """Denoises its input; counts its steps in a buffer and records what it is asked."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(5, WIDTH)
        self.network = nn.Sequential(nn.Linear(WIDTH, 5), nn.Tanh(), self.last)
        self.register_buffer("count", torch.zeros(()))
        self.noise = 0.3
        self.played: list[str] = []
        self.fed: list[Tensor] = []

    def players(self) -> dict[str, list[nn.Module]]:
        """The network alone."""
        return {"model": [self.network]}

    def networks(self) -> list[nn.Module]:
        """Those of all players."""
        return [module for modules in self.players().values() for module in modules]

    def couples(self, player: str) -> str:
        """Nothing: every loss is a mean over examples."""
        return ""

    def stages(self) -> list[Stage]:
        """One, playing every player in turn."""
        plays = tuple(Player(name) for name in self.players())
        return [Stage(name="train", share=1.0, plays=plays)]

    def averaged(self) -> list[nn.Module]:
        """Everything."""
        return [self]

    def start(self, batch: Batch) -> None:
        """Centre the output on the data."""
        self.last.bias.copy_(batch.x.mean(0))

    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        """Mean squared error of the denoised input."""
        self.played.append(player)
        self.fed.append(batch.index)
        return self.losses(batch.x, player)

    def losses(self, x: Tensor, player: str) -> Losses:
        """The losses of a player."""
        guess = self.network(x + self.noise * normal(x))
        return Losses.of(error=(guess - x).square().mean())

    def after_step(self, player: str, progress: Progress) -> None:
        """Count."""
        self.count += 1

    def finish(self, batches: Iterable[Batch]) -> None:
        """Nothing."""


class TwoPlayers(OnePlayer):
    """A critic and a generator that share an embedding no one trains."""

    def __init__(self) -> None:
        super().__init__()
        self.critic = nn.Sequential(nn.Linear(WIDTH, 4), nn.Tanh(), nn.Linear(4, 1))

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {"critic": [self.critic], "generator": [self.network]}

    @override
    def stages(self) -> list[Stage]:
        plays = (Player("critic", 2), Player("generator"))
        return [Stage(name="train", share=1.0, plays=plays)]

    @override
    def averaged(self) -> list[nn.Module]:
        return [self.network]

    @override
    def losses(self, x: Tensor, player: str) -> Losses:
        fake = self.critic(self.network(normal(x))).mean()
        if player == "generator":
            return Losses.of(fooled=-fake)
        return Losses.of(fake=fake, real=-self.critic(x).mean())


class ThreePlayers(TwoPlayers):
    """An encoder joins in, with its own turn."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(WIDTH, WIDTH)

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {**super().players(), "encoder": [self.encoder]}

    @override
    def stages(self) -> list[Stage]:
        plays = (Player("encoder"), Player("critic", 3), Player("generator", 2))
        return [Stage(name="train", share=1.0, plays=plays)]

    @override
    def losses(self, x: Tensor, player: str) -> Losses:
        if player != "encoder":
            return super().losses(x, player)
        return Losses.of(cycle=(self.network(self.encoder(x)) - x).square().mean())


class TwoStages(OnePlayer):
    """First the denoiser; then a linear map over what the trained denoiser makes of the data."""

    def __init__(self) -> None:
        super().__init__()
        self.prior = nn.Linear(WIDTH, WIDTH)
        self.prepared = 0

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {"denoiser": [self.network], "prior": [self.prior]}

    @override
    def stages(self) -> list[Stage]:
        return [
            Stage(name="denoise", share=0.5, plays=(Player("denoiser"),)),
            Stage(name="prior", share=0.5, plays=(Player("prior"),), prepare=self.prepare),
        ]

    @torch.no_grad()
    def prepare(self, model: nn.Module, stream: Stream) -> Stream:
        """The denoised data."""
        self.prepared += 1
        codes = torch.cat([self.network(batch.x) for batch in stream.once(16)])
        return stream.replaced(codes, stream.description)

    @override
    def losses(self, x: Tensor, player: str) -> Losses:
        if player == "denoiser":
            return super().losses(x, player)
        noise = normal(x)
        return Losses.of(error=(self.prior(x + noise) - noise).square().mean())


class StopAfter(Hook):
    """Asks for a stop after so many steps in all."""

    def __init__(self, step: int) -> None:
        self.step = step

    @override
    def on_round(self, trainer: Training, progress: Progress) -> None:
        if trainer.status().step >= self.step:
            trainer.interrupt()


def stream(batch: int = 8, n: int = 40) -> ExampleStream:
    """Seeded points, float64."""
    x = torch.randn(n, WIDTH, generator=generator(1), dtype=torch.float64)
    return ExampleStream(Examples(x, None, DESCRIPTION), DESCRIPTION, batch=batch, seed=seed())


def trainer(
    kind: type[Kind], budget: Budget, *, plan: Plan | None = None, **around: Any
) -> Trainer[Kind]:
    """A trainer of a fresh, seeded, float64 model; `around` are fields of `TrainingRun`."""
    with seeded(5):
        model = kind().double()
    plan = plan or Plan(batch=8, optimizers={"default": OptimizerOptions(rate=0.01)})
    run = TrainingRun(**{"seed": seed(2), "policy": Policy(), **around})
    return Trainer(model, stream(plan.batch), plan, budget, run=run)
