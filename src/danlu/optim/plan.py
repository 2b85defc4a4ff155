"""How a run trains: the batch, the optimisers, clipping and averaging."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from danlu.contracts import DanluError
from danlu.optim import OptimizerOptions


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Choices that decide what is learned, apart from the model and the data.

    Attributes:
        batch: examples of one play, over all processes.
        micro_batches: parts in which a batch is computed, to save memory.
        max_grad_norm: a player's gradients are scaled down to this norm.
        average: exponent of the power average of the weights; a larger one forgets faster.
        optimizers: player -> its optimiser; `default` is for those not named.
    """

    batch: int
    micro_batches: int = 1
    max_grad_norm: float = 1.0
    average: float = 6.94
    optimizers: Mapping[str, OptimizerOptions] = field(
        default_factory=lambda: {"default": OptimizerOptions()}
    )

    def __post_init__(self) -> None:
        if not 1 <= self.micro_batches <= self.batch:
            raise DanluError(
                f"A batch of {self.batch} cannot be computed in {self.micro_batches} parts."
            )
        if not self.max_grad_norm > 0:
            raise DanluError(f"max_grad_norm must be positive, got {self.max_grad_norm}.")

    def optimizer(self, player: str) -> OptimizerOptions:
        """The options of a player's optimiser."""
        options = self.optimizers.get(player) or self.optimizers.get("default")
        return options or OptimizerOptions()
