r"""Linear attention: attention whose weights are products of features, at a cost linear in length.

$$o_i = \frac{\sum_j \phi(q_i)^\top \phi(k_j)\, v_j}{\sum_j \phi(q_i)^\top \phi(k_j)}$$

over $j \le i$ when causal, over all tokens if not. As $(Q K^\top) V = Q (K^\top V)$, two sums over
keys are all that is remembered.

Use it with a feature map of one's choice where sequences are long and recall may be approximate.

Sources: arXiv:2006.16236 eq. 5-12; kexue.fm/archives/7546.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import State
from danlu.layers.scans import divided, normalised_scan, relative, scalar_scan
from danlu.layers.scans.chunks import silenced
from danlu.mixers.feature_maps import Elu, FeatureMap, Features
from danlu.mixers.recurrence import Recurrence, Rows, merge_heads
from danlu.mixers.softmax import size_of_head, split_heads
from danlu.positions.base import PositionEncoding

NEEDS_SCORES = "there is no matrix of scores that it could change."


class LinearAttention(Recurrence):
    """Multi-head linear attention.

    Args:
        dim: width of a token.
        heads: number of heads.
        features: the feature map, for heads of size dim / heads; elu + 1 unless given.
        causal: whether a token sees the past alone.
        position: a position encoding; a rotation turns the features of the numerator.
    """

    honours = frozenset({"embed", "rotate"})
    refusals = dict.fromkeys(("bias", "values"), NEEDS_SCORES)

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 8,
        features: FeatureMap | None = None,
        causal: bool = True,
        position: PositionEncoding | None = None,
    ) -> None:
        super().__init__(dim, position=position)
        size_of_head(dim, heads)
        self.heads, self.causal = heads, causal
        self.features = Elu() if features is None else features
        self.divides = self.features.normalised
        if not causal:
            self.forms = ("parallel",)
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)

    @override
    def recur(self, x: Tensor, rows: Rows, state: State) -> tuple[Tensor, State]:
        def turn(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
            if "rotate" not in self.position.hooks:
                return q, k
            return self.position.rotate(q, k, rows.positions, rows.positions)

        q, k, v = (split_heads(to(x), self.heads) for to in (self.query, self.key, self.value))
        features = self.features(q, k, turn)
        features, log_decay, new = self._relative(features, rows, state)
        q, k, sum_q, sum_k, _ = features
        if not self.divides:
            y, memory = self._sums("memory", (q, k, v), log_decay, rows, state)
            return self.output(merge_heads(self.finished(y))), {**memory, **new}
        if sum_q is q and sum_k is k and self.causal:
            y, memory = normalised_scan(
                q, k, v, state.get("memory"), log_decay=log_decay, run=rows.run
            )
            return self.output(merge_heads(self.finished(y))), {"memory": memory, **new}
        ones = torch.ones_like(v[..., :1])
        y, memory = self._sums("memory", (q, k, v), log_decay, rows, state)
        weight, more = self._sums("sum", (sum_q, sum_k, ones), log_decay, rows, state)
        new = {**memory, **more, **new}
        return self.output(merge_heads(self.finished(divided(y, weight)))), new

    def _relative(
        self, features: Features, rows: Rows, state: State
    ) -> tuple[Features, Tensor | None, State]:
        """Features of keys over the largest exponent so far, which divides out or is normalised."""
        exponent = features.exponent
        if exponent is None:
            return features, None, {}
        factor, log_decay, largest = relative(exponent, state.get("largest"), rows.run.valid)
        if not self.causal:
            factor = (exponent - largest[..., None]).clamp(max=0).exp()
        factor = factor[..., None].to(features.k.dtype)
        same, k = features.sum_k is features.k, features.k * factor
        features = features._replace(k=k, sum_k=k if same else features.sum_k * factor)
        return features, log_decay, {"largest": largest} if self.causal else {}

    def finished(
        self, y: Float[Tensor, "batch heads length dim"]
    ) -> Float[Tensor, "batch heads length dim"]:
        """What follows in each head."""
        return y

    def _sums(
        self,
        name: str,
        parts: tuple[Tensor, Tensor, Tensor],
        log_decay: Tensor | None,
        rows: Rows,
        state: State,
    ) -> tuple[Tensor, State]:
        """Values summed with weights over what each token sees, and what is remembered of them."""
        q, k, v = parts
        if self.causal:
            y, memory = scalar_scan(q, k, v, log_decay, state.get(name), run=rows.run)
            return y, {name: memory}
        return q @ (silenced(k, rows.run.valid).transpose(-2, -1) @ v), {}
