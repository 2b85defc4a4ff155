r"""Losses that judge every class alone: binary cross-entropy, focal and asymmetric loss.

With $p = \sigma(s)$, each is $\sum_i t_i\, \ell_+(p_i) + (1 - t_i)\, \ell_-(p_i)$:

| loss | $\ell_+$ | $\ell_-$ |
|---|---|---|
| binary cross-entropy | $-\log p$ | $-\log(1 - p)$ |
| focal | $-\alpha (1 - p)^\gamma \log p$ | $-(1 - \alpha)\, p^\gamma \log(1 - p)$ |
| asymmetric | $-(1 - p)^{\gamma_+} \log p$ | $-q^{\gamma_-} \log(1 - q)$, $q = \max(p - m, 0)$ |

When to use them: binary cross-entropy where probabilities matter and classes are balanced; the
other two turn the many easy wrong classes down, at the price of one to three numbers to tune and
of probabilities that mean nothing.

Sources: arXiv:1708.02002 eq. 5 (focal); arXiv:2009.14119 eq. 4 to 7 (asymmetric); Cox, The
regression analysis of binary sequences (1958).
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import logsigmoid
from typing_extensions import override

from danlu.losses.multilabel.loss import MultiLabelLoss, counted, left_out


@dataclass(frozen=True, kw_only=True, slots=True)
class Binary(MultiLabelLoss):
    """A sum over classes of a loss of its own for each."""

    @abstractmethod
    def sides(self, s: Float[Tensor, "*shape"]) -> tuple[Tensor, Tensor]:
        """What a right and what a wrong class costs."""

    @override
    def of(
        self,
        logits: Float[Tensor, "batch *classes"],
        targets: Float[Tensor, "batch *classes"],
        mask: Bool[Tensor, "batch *classes"] | None,
    ) -> Float[Tensor, " batch"]:
        s, counts = counted(logits, targets, mask)
        right, wrong = self.sides(s)
        # A hard target takes one side alone: the other one may be infinite.
        mixed = torch.lerp(wrong, right, targets)
        hard = torch.where(targets == 0, wrong, torch.where(targets == 1, right, mixed))
        return left_out(hard, counts)

    @override
    def probability(self, logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return torch.sigmoid(logits)


@dataclass(frozen=True, kw_only=True, slots=True)
class BinaryCrossEntropy(Binary):
    """The log-likelihood of independent classes."""

    @override
    def sides(self, s: Float[Tensor, "*shape"]) -> tuple[Tensor, Tensor]:
        return -logsigmoid(s), -logsigmoid(-s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Focal(Binary):
    """Cross-entropy turned down where a class is already well told apart.

    Attributes:
        gamma: how strongly.
        alpha: weight of right classes; wrong ones have the rest.
    """

    gamma: float = 2.0
    alpha: float = 0.25

    @override
    def sides(self, s: Float[Tensor, "*shape"]) -> tuple[Tensor, Tensor]:
        log_p, log_rest = logsigmoid(s), logsigmoid(-s)
        right = -self.alpha * (self.gamma * log_rest).exp() * log_p
        return right, -(1 - self.alpha) * (self.gamma * log_p).exp() * log_rest


@dataclass(frozen=True, kw_only=True, slots=True)
class Asymmetric(Binary):
    """Focal with an exponent for each side and a cut that drops easy wrong classes.

    Attributes:
        gamma_right: exponent of right classes.
        gamma_wrong: exponent of wrong classes.
        cut: m, probabilities of wrong classes below it cost nothing.
    """

    gamma_right: float = 1.0
    gamma_wrong: float = 4.0
    cut: float = 0.05

    @override
    def sides(self, s: Float[Tensor, "*shape"]) -> tuple[Tensor, Tensor]:
        right = -(self.gamma_right * logsigmoid(-s)).exp() * logsigmoid(s)
        if not self.cut:
            return right, -(self.gamma_wrong * logsigmoid(s)).exp() * logsigmoid(-s)
        q = (torch.sigmoid(s) - self.cut).clamp_min(0.0)
        return right, -(q**self.gamma_wrong) * torch.log1p(-q)
