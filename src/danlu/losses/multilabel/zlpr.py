r"""ZLPR: every right class above zero, every other below, by pairs and without class weights.

With scores s and targets $t \in [0, 1]$ of n classes

$L = \log\Bigl(1 + \sum_i (1 - t_i)\, e^{s_i}\Bigr) + \log\Bigl(1 + \sum_i t_i\, e^{-s_i}\Bigr).$

For $t \in \{0, 1\}$ the sums run over the wrong and the right classes, and a class is predicted
where $s_i > 0$. At the optimum for soft targets $t_i = \sigma(2 s_i)$: the probabilities are
$\sigma(2s)$, not $\sigma(s)$. With one class and a hard target it is binary cross-entropy; with
one right class, $N = \sum_- e^{s_i}$ and $P = e^{-s_+}$, it is $\log(1 + N)(1 + P)$ and so
exceeds the softmax cross-entropy $\log(1 + NP)$, which the `pairwise` loss is. It is the
logarithm's inside of binary cross-entropy cut after the first order. A threshold $s_0$ shifts
all scores.

When to use it: many classes of which few are right; the many wrong ones enter through one
logarithm instead of a sum, so nothing needs to be re-weighted. Soft targets (label smoothing,
mixup, distillation) are fine. Average over examples, not over classes.

Sources: arXiv:2208.02955; kexue.fm/archives/7359 (hard), kexue.fm/archives/9064 (soft).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import override

from danlu.losses.multilabel.log_sums import log_sums
from danlu.losses.multilabel.loss import MultiLabelLoss


@dataclass(frozen=True, kw_only=True, slots=True)
class ZLPR(MultiLabelLoss):
    """Zero-bounded log-sum-exp and pairwise rank-based loss, hard or soft, with a mask.

    Attributes:
        threshold: the score above which a class is predicted.
    """

    threshold: float = 0.0

    @override
    def of(
        self,
        logits: Float[Tensor, "batch classes"],
        targets: Float[Tensor, "batch classes"],
        mask: Bool[Tensor, "batch classes"] | None,
    ) -> Float[Tensor, " batch"]:
        negative, positive = log_sums(self._shifted(logits), targets, mask, threshold=True)
        return negative + positive

    @override
    def probability(self, logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return torch.sigmoid(2 * self._shifted(logits))

    @override
    def predict(self, logits: Float[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
        return logits > self.threshold

    def _shifted(self, logits: Tensor) -> Tensor:
        return logits - self.threshold if self.threshold else logits
