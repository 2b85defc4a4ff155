r"""Several choices at once, n items with one of m classes each: two attempts, both experimental.

With scores and targets in $[0, 1]^{n \times m}$

$L_1 = \sum_j \log\Bigl(1 + \sum_i \sum_{k \ne j} t_{ij}\, e^{s_{ik} - s_{ij}}\Bigr), \qquad
L_3 = \sum_j \log\Bigl(1 + \sum_i t_{ij}\, e^{\bar s_i - s_{ij}}\Bigr),$

with $\bar s_i$ the mean of $s_{ij}$ over j. Their author calls the attempt unsuccessful:

* $L_1$ works for hard targets, but its optimum for soft ones has no closed form, so that its
  scores give no probabilities. With n = 1 and a hard target it is softmax cross-entropy; with
  m = 2 it is ZLPR of $s_1 - s_0$.
* $L_3$ has its optimum at $t = \mathrm{softmax}(s)$, but near hard targets it only asks that
  the right score exceeds the *mean*, which does not make it the largest. With m = 2 it is ZLPR
  of $(s_1 - s_0) / 2$: half the scores.

When to use them: not; they are here to be compared with. Use cross-entropy for each item.

Source: kexue.fm/archives/9158.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import override

from danlu.losses.multilabel.loss import MultiLabelLoss, counted


@dataclass(frozen=True, kw_only=True, slots=True)
class SeveralChoices(MultiLabelLoss):
    """A sum over classes of a logarithm over items; scores are `[batch, items, classes]`."""

    axes: ClassVar[int] = 3
    experimental: ClassVar[bool] = True

    @override
    def of(
        self,
        logits: Float[Tensor, "batch items classes"],
        targets: Float[Tensor, "batch items classes"],
        mask: Bool[Tensor, "batch items classes"] | None,
    ) -> Float[Tensor, " batch"]:
        s, counts = counted(logits, targets, mask)
        targets = targets.masked_fill(~counts, 0.0)
        terms = targets.log() - self.lead(s, counts)
        with_one = torch.cat([torch.zeros_like(terms[:, :1]), terms], 1)
        return with_one.logsumexp(1).sum(1)

    @abstractmethod
    def lead(
        self, s: Float[Tensor, "batch items classes"], counts: Bool[Tensor, "batch items classes"]
    ) -> Tensor:
        """By how much each class leads over the others of its item that count."""

    @override
    def predict(self, logits: Float[Tensor, "batch items classes"]) -> Tensor:
        """The best class of each item."""
        return logits == logits.amax(-1, keepdim=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class SeveralPairwise(SeveralChoices):
    """L1, experimental: each right class above all others of its item together."""

    @override
    def lead(
        self, s: Float[Tensor, "batch items classes"], counts: Bool[Tensor, "batch items classes"]
    ) -> Tensor:
        return s - others(s, counts)


@dataclass(frozen=True, kw_only=True, slots=True)
class SeveralCentred(SeveralChoices):
    """L3, experimental: each right class above the mean of its item."""

    @override
    def lead(
        self, s: Float[Tensor, "batch items classes"], counts: Bool[Tensor, "batch items classes"]
    ) -> Tensor:
        # Classes that are left out stand as 0 in the sum.
        mean = s.sum(-1, keepdim=True) / counts.sum(-1, keepdim=True).clamp(min=1)
        return torch.where(s == -torch.inf, s, s - mean)

    @override
    def probability(self, logits: Float[Tensor, "batch items classes"]) -> Tensor:
        return logits.softmax(-1)


def others(
    s: Float[Tensor, "*shape classes"], counts: Bool[Tensor, "*shape classes"]
) -> Float[Tensor, "*shape classes"]:
    """Log-sum-exp over the classes that count but one, for each one; no sum loses a term."""
    own = torch.eye(s.shape[-1], dtype=torch.bool, device=s.device)
    lowest = torch.finfo(s.dtype).min / 4  # where no other counts, -inf would have no gradient
    return s[..., None, :].masked_fill(own | ~counts[..., None, :], lowest).logsumexp(-1)
