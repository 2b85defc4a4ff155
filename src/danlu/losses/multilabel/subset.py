r"""The exact softmax over subsets: choosing k of n classes as one choice out of C(n, k).

The score of a set is the sum of its classes' scores, so with k right classes

$P(\Omega_+ \mid k) = e^{\sum_{\Omega_+} s_j} / Z_k(s), \qquad
Z_k(s) = \sum_{|\Omega| = k} e^{\sum_\Omega s_i},$

where $Z_k$ is the elementary symmetric polynomial of degree k in $e^{s_i}$: class by class
$Z_k \leftarrow Z_k + e^{s_i} Z_{k-1}$, in logarithms, at the cost of n·k additions.

To know k for a new example a threshold class with score 0 joins: it shall lose to every right
class (choose k of n + 1) and win over every wrong one (choose k + 1 of n + 1), hence

$L = -\log P(\Omega_+ \mid k) - \log P(\Omega_+ \cup \{0\} \mid k + 1)$

over n + 1 classes, and a class is predicted where $s_i > 0$. With one class it is twice binary
cross-entropy.

When to use it: as the reference that ZLPR and the pairwise loss approximate; it costs a loop over
the classes.

Sources: kexue.fm/archives/7359; Chen, Dempster and Liu, Weighted finite population sampling to
maximize entropy (1994), for the recursion.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import override

from danlu.losses.multilabel.loss import MultiLabelLoss, counted


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetSoftmax(MultiLabelLoss):
    """Cross-entropy over all sets with the right number of classes, and a threshold class."""

    soft: ClassVar[bool] = False

    @override
    def of(
        self,
        logits: Float[Tensor, "batch classes"],
        targets: Float[Tensor, "batch classes"],
        mask: Bool[Tensor, "batch classes"] | None,
    ) -> Float[Tensor, " batch"]:
        s, counts = counted(logits, targets, mask)
        # A class that cannot be chosen, and is not right.
        s, targets = s.masked_fill(~counts, -torch.inf), targets.masked_fill(~counts, 0.0)
        score = torch.where(targets > 0, s, 0.0).sum(1)
        sizes = targets.sum(1).long()
        partition = log_partitions(s, int(sizes.max()) + 1 if len(sizes) else 0)
        # With the threshold class, whose score is 0: Z'_k = Z_k + Z_{k-1}.
        joined = torch.logaddexp(partition[:, 1:], partition[:, :-1])
        lower = torch.cat([partition[:, :1], joined], 1)  # Z'_0 = Z_0 = 1
        rows = torch.arange(len(s), device=s.device)
        return lower[rows, sizes] + lower[rows, sizes + 1] - 2 * score

    @override
    def probability(self, logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return torch.sigmoid(logits)


def log_partitions(s: Float[Tensor, "batch classes"], most: int) -> Float[Tensor, "batch sizes"]:
    """The logarithms of Z_k for k = 0 ... most."""
    lowest = torch.finfo(s.dtype).min / 4  # in place of -inf, whose differences have no gradient
    log_z = s.new_zeros(len(s), 1)
    for score in s.clamp_min(lowest / 4).unbind(1):
        chosen = log_z + score[:, None]
        both = torch.logaddexp(log_z[:, 1:], chosen[:, :-1])
        log_z = torch.cat([log_z[:, :1], both, chosen[:, -1:]], 1)[:, : most + 1]
    missing = most + 1 - log_z.shape[1]
    return torch.cat([log_z, log_z.new_full((len(s), missing), lowest)], 1)
