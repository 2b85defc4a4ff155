"""What the trainer asks of a model: the training half of a generative model's contract."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

from torch import nn

from danlu.contracts import Batch, Losses, Progress, Stage


@runtime_checkable
class Trainable(Protocol):
    """A torch module with players, losses and stages; every `GenerativeModel` is one."""

    def players(self) -> dict[str, list[nn.Module]]:
        """Who trains: a name and the modules whose parameters it owns."""
        ...

    def networks(self) -> list[nn.Module]:
        """The modules that losses call, which are compiled."""
        ...

    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        """The losses of one play, a mean over examples unless it `couples`; changes no buffer."""
        ...

    def couples(self, player: str) -> str:
        """What the player's loss does with a batch as a whole; empty for a mean over examples."""
        ...

    def stages(self) -> list[Stage]:
        """The parts of training in order; their shares sum to 1."""
        ...

    def averaged(self) -> list[nn.Module]:
        """The modules whose averaged weights are used after training."""
        ...

    def start(self, batch: Batch) -> None:
        """Data-dependent initialisation, called once before the first step."""
        ...

    def after_step(self, player: str, progress: Progress) -> None:
        """State that changes after a play: statistics, teachers, weight clipping."""
        ...

    def finish(self, batches: Iterable[Batch]) -> None:
        """Last touches on the averaged weights, at the end of every stage.

        `batches` are of the data itself, not of what a stage prepared from it.
        """
        ...

    # --- what every nn.Module has ---------------------------------------------------------------

    def train(self, mode: bool = True) -> Any:
        """Training mode."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """The module itself and all below it."""
        ...
