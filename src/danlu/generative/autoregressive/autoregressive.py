r"""Autoregressive model: a causal transformer gives each level its chance given those before.

$\log p(x) = \sum_t \log p(x_t \mid x_{<t}, c)$, exact, with $x$ the levels of the data in one row
as ids $0 \ldots K-1$, and $c$ a class or none. The row begins with a token for the class, which is
dropped at times, so that one model is conditional and unconditional. Each number costs one pass;
sampling keeps keys and values, so a step reads one token. Temperature, top-k and top-p change what
is drawn and no likelihood. Where examples are few, they are soon known by heart: then a share of
the ids that are read in training, not of those that are predicted, is replaced at random.

Use it for the exact likelihood of discrete data, as the prior over the ids of a quantiser, or as a
language model; avoid it where samples must be quick.

Sources: arXiv:1601.06759 eq. 1 (pixels); arXiv:1711.00937 §3.3 (prior over ids);
arXiv:1904.09751 §3.1 (top-p); arXiv:1506.03099 (training on ids that are not the data's).
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
    State,
)
from danlu.generative.base import GenerativeModel
from danlu.generative.tiny import TINY
from danlu.layers.condition import ClassEmbedding
from danlu.positions.learned import SPREAD, Learned
from danlu.positions.rotary import Rotary
from danlu.solvers.noise import BatchNoise, Noise

Ids = Int[Tensor, " batch"] | None

LABEL_DROP = 0.1
"""Probability of training on an example without its class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoregressiveOptions:
    """What is drawn from the probabilities of the next id.

    Attributes:
        temperature: divides the logits; below 1 the likely becomes more so, 0 takes the likeliest.
        top_k: only so many of the likeliest ids; None for all.
        top_p: only the likeliest ids that together have this probability.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise DanluError(f"temperature must be 0 or more, got {self.temperature}.")
        if self.top_k is not None and self.top_k < 1:
            raise DanluError(f"top_k must be at least 1, got {self.top_k}.")
        if not 0 < self.top_p <= 1:
            raise DanluError(f"top_p must be above 0 and at most 1, got {self.top_p}.")


class Autoregressive(GenerativeModel):
    """A causal stack over the ids of discrete data.

    Args:
        description: of data with levels; ids have the levels 0 to K - 1.
        stack: any causal stack on `[batch, dims, stack.dim]`.
        replaced: share of the ids read in training that is replaced at random.
    """

    can = frozenset({"sample", "log_prob", "condition"})
    instead: ClassVar[dict[str, str]] = {
        "encode": "it has no code; a VQ model with this as its prior has one."
    }
    Options: ClassVar[type] = AutoregressiveOptions

    def __init__(
        self, description: DataDescription, stack: Transformer, *, replaced: float = 0.0
    ) -> None:
        super().__init__(description)
        if not 0 <= replaced < 1:
            raise DanluError(f"replaced is a share in [0, 1), got {replaced}.")
        if description.levels is None:
            raise DanluError("An autoregressive model needs data with levels, or ids.")
        if not stack.causal:
            raise DanluError("An autoregressive model needs a stack that sees the past alone.")
        self.levels = description.levels
        self.stack = stack
        self.replaced = replaced
        self.embedding = ClassEmbedding(description.classes, stack.dim)
        self.tokens = nn.Embedding(self.levels, stack.dim)
        self.logits = nn.Linear(stack.dim, self.levels)
        for table in (self.embedding.table, self.tokens):
            nn.init.normal_(table.weight, std=SPREAD)

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {"model": [self]}

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        condition = self.embedding.drop(batch.condition, LABEL_DROP)
        ids = self.ids(batch.x)
        log_prob = self.log_prob_of_ids(ids, condition, read=self._disturbed(ids))
        return Losses.of(nats_per_number=-log_prob.mean() / self.description.dims)

    def ids(self, x: Tensor) -> Int[Tensor, "batch length"]:
        """Data on its scale as ids in one row; what are ids already stay."""
        if x.dtype.is_floating_point:
            x = ((x - self.description.low) / self.description.spacing).round()
        return x.long().flatten(1)

    def data(self, ids: Int[Tensor, "batch length"]) -> Float[Tensor, "batch ..."]:
        """Ids as data on its scale."""
        x = self.description.low + ids.to(self.dtype) * self.description.spacing
        return x.unflatten(1, self.description.shape)

    def log_prob_of_ids(
        self,
        ids: Int[Tensor, "batch length"],
        condition: Ids,
        *,
        read: Int[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """Exact log-probability of each row, nats; None is no class.

        `read` stands in place of the ids where they are read, and spoils the exactness.
        """
        first = self._class_token(condition, len(ids))
        read = ids if read is None else read
        given = torch.cat([first, self.tokens(read[:, :-1])], dim=1)
        y, _ = self.stack(given)
        logits = self.logits(y).to(torch.promote_types(y.dtype, torch.float32))
        return -cross_entropy(logits.transpose(1, 2), ids, reduction="none").sum(1)

    def draw_ids(
        self, noise: Noise, n: int, condition: Ids, options: AutoregressiveOptions
    ) -> Int[Tensor, "n length"]:
        """Rows of ids, each number by one step from its own noise."""
        token = self._class_token(condition, n)[:, 0]
        state: State | None = None
        drawn: list[Tensor] = []
        for _ in range(self.description.dims):
            y, state = self.stack.step(token, state)
            probabilities = allowed(self.logits(y), options)
            drawn.append(pick(probabilities, noise.uniform(1)[:, 0]))
            token = self.tokens(drawn[-1])
        return torch.stack(drawn, dim=1)

    @override
    def draw(
        self, noise: Noise, n: int, condition: Ids, options: AutoregressiveOptions
    ) -> Float[Tensor, "n ..."]:
        return self.data(self.draw_ids(noise, n, condition, options))

    @override
    def evidence(
        self, x: Tensor, noise: Noise, condition: Ids, options: AutoregressiveOptions
    ) -> Evidence:
        value = self.log_prob_of_ids(self.ids(x), condition)
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
    def sampling_evaluations(self, options: AutoregressiveOptions) -> int:
        return self.description.dims

    def _disturbed(self, ids: Int[Tensor, "batch length"]) -> Int[Tensor, "batch length"]:
        """The ids with some replaced by any at random."""
        if not self.replaced:
            return ids
        noise = BatchNoise(len(ids), device=ids.device)
        others = (noise.uniform(ids.shape[1]) * self.levels).long().clamp(max=self.levels - 1)
        return torch.where(noise.uniform(ids.shape[1]) >= self.replaced, ids, others)

    def _class_token(self, condition: Ids, n: int) -> Float[Tensor, "n 1 dim"]:
        known = condition if self.description.classes else None
        return self.embedding(known, n)[:, None]


def allowed(
    logits: Float[Tensor, "batch levels"], options: AutoregressiveOptions
) -> Float[Tensor, "batch levels"]:
    """The probabilities to draw from."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if options.temperature == 0:
        return torch.zeros_like(logits).scatter(1, logits.argmax(1, keepdim=True), 1.0)
    if options.top_k is not None and options.top_k < logits.shape[1]:
        least = logits.topk(options.top_k, dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    probabilities = (logits / options.temperature).softmax(1)
    if options.top_p == 1:
        return probabilities
    ordered, place = probabilities.sort(dim=1, descending=True)
    # An id stays while those likelier than it have less than top_p; the likeliest always stays.
    kept = ordered.masked_fill(ordered.cumsum(1) - ordered >= options.top_p, 0.0)
    probabilities = torch.zeros_like(probabilities).scatter(1, place, kept)
    return probabilities / probabilities.sum(1, keepdim=True)


def pick(
    probabilities: Float[Tensor, "batch levels"], uniform: Float[Tensor, " batch"]
) -> Int[Tensor, " batch"]:
    """The id at each uniform number, by the inverse of the cumulative distribution."""
    cumulative = probabilities.cumsum(1)
    point = uniform.to(cumulative.dtype)[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, point, right=True)[:, 0].clamp(
        max=cumulative.shape[1] - 1
    )


def build(
    description: DataDescription = TINY,
    *,
    dim: int = 32,
    depth: int = 2,
    heads: int = 2,
    replaced: float = 0.0,
) -> Autoregressive:
    """A transformer for data with levels: images in raster order, or rows of ids."""
    block = transformer_block(heads, position=Rotary(dim // heads))
    stack = Transformer(dim, depth, block, position=Learned(dim, description.dims))
    return Autoregressive(description, stack, replaced=replaced)
