r"""The pairwise log-sum-exp loss: every right class above every wrong one; it only ranks.

$L = \log\Bigl(1 + \sum_{i \in \Omega_-} \sum_{j \in \Omega_+}
e^{\gamma (s_i - s_j + m)}\Bigr)$

With one right class, $\gamma = 1$ and $m = 0$ this is softmax cross-entropy; with scale and
margin it is the unified form of Circle loss. It has no threshold: how many of the best classes
are right must be known from elsewhere. ZLPR is this loss with a threshold class added on both
sides. The double sum is a product of two sums, so it costs no more than softmax.

When to use it: to rank, or when the number of right classes is given.

Sources: kexue.fm/archives/7359; arXiv:2002.10857 eq. 1 (scale and margin).
"""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus
from typing_extensions import override

from danlu.losses.multilabel.log_sums import log_sums
from danlu.losses.multilabel.loss import MultiLabelLoss


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairwise(MultiLabelLoss):
    """Log-sum-exp over all pairs of a wrong and a right class.

    Attributes:
        scale: gamma, how sharp the largest violation stands out.
        margin: m, by how much right classes shall win.
    """

    soft: ClassVar[bool] = False
    scale: float = 1.0
    margin: float = 0.0

    @override
    def of(
        self,
        logits: Float[Tensor, "batch classes"],
        targets: Float[Tensor, "batch classes"],
        mask: Bool[Tensor, "batch classes"] | None,
    ) -> Float[Tensor, " batch"]:
        scaled = logits * self.scale if self.scale != 1.0 else logits
        negative, positive = log_sums(scaled, targets, mask, threshold=False)
        return softplus(negative + positive + self.scale * self.margin)
