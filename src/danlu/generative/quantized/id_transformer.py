r"""A causal transformer over ids: their joint probability, one id after the other.

$\log p(k \mid c) = \sum_{l=1}^{L} \log p(k_l \mid k_{<l}, c)$

for $L$ ids in a fixed order and a class $c$, which enters at every position; without a class a
null class stands there, so that one network is conditional and unconditional. In training some of
the ids that it reads, not those that it predicts, are replaced by others at random: few examples
of few ids are soon known by heart otherwise.

Sources: arXiv:1706.03762 (transformer); arXiv:1711.00937 §3.3 (autoregressive prior over ids);
arXiv:2012.09841 (transformer over ids).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from typing_extensions import override

from danlu.backbones.transformer import Transformer, transformer_block
from danlu.contracts import (
    Batch,
    Bound,
    DanluError,
    DataDescription,
    Evidence,
    Losses,
    Measure,
    Progress,
)
from danlu.generative.base import GenerativeModel
from danlu.generative.chain import Ids
from danlu.layers.condition import ClassEmbedding
from danlu.positions.learned import Learned
from danlu.solvers.noise import BatchNoise, Noise

LABEL_DROP = 0.1
"""Probability of training on an example without its class."""
HEAD_DIM = 16
"""Numbers in a head of attention."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IdOptions:
    """Options of sampling.

    Attributes:
        temperature: divides the logits; below 1 the samples are likelier than the model's.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise DanluError(f"temperature must be positive, got {self.temperature}.")


class IdTransformer(GenerativeModel):
    """A probability of each sequence of ids, exact, by classes where there are any.

    Args:
        description: `[length]` ids out of `levels`.
        width: of a token.
        depth: blocks of attention and feed-forward.
        replaced: share of the ids read in training that is replaced at random.
    """

    can = frozenset({"sample", "log_prob", "condition"})
    instead: ClassVar[dict[str, str]] = {
        "encode": "it models ids, which are the code already.",
        "decode": "it models ids, which are the code already.",
        "reconstruct": "it models ids, which are the code already.",
    }
    Options: ClassVar[type] = IdOptions

    def __init__(
        self, description: DataDescription, *, width: int, depth: int, replaced: float = 0.0
    ) -> None:
        super().__init__(description)
        if description.levels is None or len(description.shape) != 1:
            raise DanluError("A transformer over ids needs sequences of ids with a number of them.")
        if not 0 <= replaced < 1:
            raise DanluError(f"replaced is a share in [0, 1), got {replaced}.")
        (length,) = description.shape
        self.ids = description.levels
        self.replaced = replaced
        self.tokens = nn.Embedding(self.ids + 1, width)  # the last one stands before the first id
        self.classes = ClassEmbedding(description.classes, width)
        block = transformer_block(max(1, width // HEAD_DIM))
        self.network = Transformer(width, depth, block, position=Learned(width, length))
        self.leave = nn.Linear(width, self.ids)

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {"model": [self.tokens, self.classes, self.network, self.leave]}

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        ids = batch.x.long()
        condition = self.classes.drop(batch.condition, LABEL_DROP)
        value = self._log_prob(ids, self._disturbed(ids), condition)
        # Per id, so that one learning rate and clipping serve all lengths.
        return Losses.of(nats_per_id=-value.mean() / self.description.dims)

    def logits(
        self, read: Int[Tensor, "batch length"], condition: Ids
    ) -> Float[Tensor, "batch length ids"]:
        """Logits of each id given those before it."""
        start = torch.full_like(read[:, :1], self.ids)
        tokens = self.tokens(torch.cat([start, read[:, :-1]], dim=1))
        h, _ = self.network(tokens + self.classes(condition, len(read))[:, None])
        logits = self.leave(h)
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    @override
    def evidence(self, x: Tensor, noise: Noise, condition: Ids, options: IdOptions) -> Evidence:
        ids = x.long()
        value = self._log_prob(ids, ids, condition)
        return Evidence(
            value=value,
            bound=Bound.EXACT,
            stderr=torch.zeros_like(value),
            evaluations=1,
            measure=Measure.COUNTING,
            condition="none" if condition is None else "class",
            dims=self.description.dims,
        )

    @override
    def draw(
        self, noise: Noise, n: int, condition: Ids, options: IdOptions
    ) -> Int[Tensor, "n length"]:
        (length,) = self.description.shape
        u = noise.uniform(length)
        features = self.classes(condition, n)
        last = torch.full((n,), self.ids, device=u.device)
        state, drawn = None, []
        for place in range(length):
            h, state = self.network.step(self.tokens(last) + features, state)
            last = choose(self.leave(h) / options.temperature, u[:, place])
            drawn.append(last)
        return torch.stack(drawn, dim=1)

    @override
    def sampling_evaluations(self, options: IdOptions) -> int:
        return self.description.dims

    def _log_prob(self, ids: Tensor, read: Tensor, condition: Ids) -> Float[Tensor, " batch"]:
        logits = self.logits(read, condition)
        return -cross_entropy(logits.transpose(1, 2), ids, reduction="none").sum(1)

    def _disturbed(self, ids: Int[Tensor, "batch length"]) -> Int[Tensor, "batch length"]:
        """The ids with some replaced by any at random."""
        if not self.replaced:
            return ids
        noise = BatchNoise(len(ids), device=ids.device)
        others = (noise.uniform(ids.shape[1]) * self.ids).long().clamp(max=self.ids - 1)
        return torch.where(noise.uniform(ids.shape[1]) >= self.replaced, ids, others)


def choose(logits: Float[Tensor, "batch ids"], u: Float[Tensor, " batch"]) -> Int[Tensor, " batch"]:
    """The id at which the sum of the probabilities passes u."""
    reached = logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(1).cumsum(1)
    return (reached < u[:, None]).sum(1).clamp(max=logits.shape[1] - 1)
