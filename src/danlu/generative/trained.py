"""The training half of the contract of generative models: who plays, by which losses, when."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import chain

from torch import nn

from danlu.contracts import Batch, Losses, Player, Progress, Stage


class Trained(nn.Module, ABC):
    """What the trainer asks of a model; a family implements `players` and `loss`."""

    @abstractmethod
    def players(self) -> dict[str, list[nn.Module]]:
        """Who trains: a name and the modules whose parameters it owns."""

    @abstractmethod
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        """The losses of one play; changes no buffer."""

    def networks(self) -> list[nn.Module]:
        """The modules that losses, samples and likelihoods call: they are compiled and counted.

        By default those of the players; a player that is the whole model has its parts for them.
        """
        owned = [module for modules in self.players().values() for module in modules]
        parts = (module.children() if module is self else [module] for module in owned)
        return list(dict.fromkeys(chain.from_iterable(parts)))

    def couples(self, player: str) -> str:
        """What the player's loss does with a batch as a whole; empty for a mean over examples.

        Such a loss of a batch is not the weighted mean of those of its parts: in parts, of one
        process or of several, it couples the examples of each part alone.
        """
        return ""

    def stages(self) -> list[Stage]:
        """One stage that plays every player once a round, unless a family says otherwise."""
        plays = tuple(Player(name) for name in self.players())
        return [Stage(name="train", share=1.0, plays=plays)]

    def averaged(self) -> list[nn.Module]:
        """The modules whose averaged weights are used after training; all by default."""
        return [self]

    def start(self, batch: Batch) -> None:
        """Data-dependent initialisation, called once before the first step."""

    def after_step(self, player: str, progress: Progress) -> None:
        """State that changes after a play: statistics, teachers, weight clipping."""

    def finish(self, batches: Iterable[Batch]) -> None:
        """Last touches on the averaged weights, such as batch-norm statistics."""
