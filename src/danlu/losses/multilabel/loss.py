"""The contract of a multi-label loss, and what its targets may be."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from danlu.contracts import CapabilityError, DanluError


@dataclass(frozen=True, kw_only=True, slots=True)
class MultiLabelLoss(ABC):
    """A loss of logits against any number of right classes out of many.

    Attributes:
        soft: whether targets between 0 and 1 have a meaning; else they are 0 or 1.
        axes: of logits and targets.
        experimental: whether its own source calls it unsuccessful.
    """

    soft: ClassVar[bool] = True
    axes: ClassVar[int] = 2
    experimental: ClassVar[bool] = False

    def __call__(
        self,
        logits: Float[Tensor, "batch *classes"],
        targets: Num[Tensor, "..."] | Bool[Tensor, "..."],
        mask: Bool[Tensor, "batch *classes"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """The loss of each example, in full precision; average it over the batch.

        Args:
            logits: one for each class, any float type.
            targets: 1 for right classes, 0 for the others, or how right each one is.
            mask: the classes that count; all by default. A logit of -inf leaves a class out as
                well; where such a class is right, the loss is infinite.

        Raises:
            DanluError: targets outside [0, 1], of another shape, or soft where only hard ones fit.
        """
        if logits.shape != targets.shape or logits.ndim != self.axes:
            raise DanluError(
                f"{type(self).__name__} needs logits and targets of {self.axes} equal axes, got "
                f"{tuple(logits.shape)} and {tuple(targets.shape)}."
            )
        self.check(targets)
        wide = torch.promote_types(logits.dtype, torch.float32)
        return self.of(logits, targets.to(wide), mask)

    @abstractmethod
    def of(
        self,
        logits: Float[Tensor, "batch *classes"],
        targets: Float[Tensor, "batch *classes"],
        mask: Bool[Tensor, "batch *classes"] | None,
    ) -> Float[Tensor, " batch"]:
        """The loss of checked targets."""

    def probability(self, logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The probability of each class that these logits stand for."""
        raise CapabilityError(f"{type(self).__name__} only ranks the classes; take the best ones.")

    def predict(self, logits: Float[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
        """The classes that are more probable than not."""
        return self.probability(logits) > 0.5

    def check(self, targets: Tensor) -> None:
        """Refuse targets that this loss cannot take; compiled code is not checked."""
        if torch.compiler.is_compiling() or targets.dtype == torch.bool or not targets.numel():
            return
        if targets.requires_grad:
            raise DanluError("Targets are constants of a multi-label loss; detach() them.")
        low, high = (bound.item() for bound in targets.aminmax())
        if not (low >= 0 and high <= 1):
            raise DanluError(f"Targets must lie in [0, 1], got values from {low:g} to {high:g}.")
        if not self.soft and not ((targets == 0) | (targets == 1)).all():
            raise DanluError(
                f"{type(self).__name__} takes targets 0 or 1; `zlpr` and `binary-cross-entropy` "
                "take soft ones."
            )


def counted(
    logits: Float[Tensor, "batch *classes"],
    targets: Float[Tensor, "batch *classes"],
    mask: Bool[Tensor, "batch *classes"] | None,
) -> tuple[Float[Tensor, "batch *classes"], Bool[Tensor, "batch *classes"]]:
    """Logits in the type of the targets with 0 where a class is left out, and which ones count."""
    counts = (logits != -torch.inf) | (targets != 0)
    counts = counts if mask is None else counts & mask
    return logits.to(targets.dtype).masked_fill(~counts, 0.0), counts


def left_out(
    losses: Float[Tensor, "batch *classes"], mask: Bool[Tensor, "batch *classes"] | None
) -> Float[Tensor, " batch"]:
    """Sum over the classes that count."""
    losses = losses if mask is None else losses.masked_fill(~mask, 0.0)
    return losses.flatten(1).sum(1)
