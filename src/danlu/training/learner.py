"""One player's side of training: its weights, its optimiser, its last losses."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from danlu.contracts import DanluError, Losses, NonFiniteError, Progress, unknown
from danlu.optim import OPTIMIZERS, NamedParameter, OptimizerOptions, Scheduled


class Learner:
    """A player with its optimiser.

    Attributes:
        name: the player's.
        weights: the parameters it owns.
        norm: of its last gradients, before clipping.
        losses: of its last play, detached.
    """

    def __init__(
        self, name: str, named: Sequence[NamedParameter], options: OptimizerOptions
    ) -> None:
        if not named:
            raise DanluError(f"The player {name!r} has no trainable parameters.")
        if options.name not in OPTIMIZERS:
            raise unknown("optimizer", options.name, OPTIMIZERS)
        self.name = name
        self.named = named
        self.weights: list[nn.Parameter] = [row.parameter for row in named]
        try:
            self.optimizer = OPTIMIZERS[options.name].build(named, options)
            self.scheduled = Scheduled(self.optimizer, options)
        except (ValueError, TypeError, OverflowError) as error:  # torch's own checks
            raise DanluError(f"The optimiser of {name!r} cannot be made: {error}.") from error
        self.norm = 0.0
        self.losses: Losses | None = None

    def zero(self) -> None:
        """Forget the gradients."""
        for weight in self.weights:
            weight.grad = None

    def step(self, max_norm: float, progress: Progress) -> None:
        """Clip the gradients, then take the optimiser's step.

        Raises:
            NonFiniteError: the loss or a gradient is infinite or NaN; no weight has changed.
        """
        assert self.losses is not None
        gradients = [weight.grad for weight in self.weights if weight.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        # The loss joins in, so that one read from the device checks both.
        self.norm = float(norm + 0.0 * self.losses.total)
        if not math.isfinite(self.norm):
            raise NonFiniteError(self._blame(progress))
        if self.norm > max_norm:
            scale = max_norm / (self.norm + 1e-6)
            torch._foreach_mul_(gradients, scale)  # pyright: ignore
        self.scheduled.set(progress.fraction)
        self.optimizer.step()

    def values(self) -> dict[str, float]:
        """The last losses and figures; `total` only where it is not the single part."""
        if self.losses is None:
            return {}
        total = {} if len(self.losses.parts) == 1 else {"total": self.losses.total}
        named = {**total, **self.losses.parts, **self.losses.figures}
        return {name: float(value) for name, value in named.items()}

    def _blame(self, progress: Progress) -> str:
        assert self.losses is not None
        where = f"player {self.name!r} at step {progress.step}"
        terms: Mapping[str, Tensor] = {**self.losses.parts, "total": self.losses.total}
        for name, term in terms.items():
            if not torch.isfinite(term).all():
                return f"The loss term {name!r} of {where} is {float(term)}."
        for row in self.named:
            gradient = row.parameter.grad
            if gradient is not None and not torch.isfinite(gradient).all():
                return f"The gradient of the parameter {row.path!r} of {where} is not finite."
        return f"The norm of the gradients of {where} overflows."
