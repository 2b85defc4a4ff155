r"""Autoregressive model: a causal transformer gives each level its chance given those before.

$\log p(x) = \sum_t \log p(x_t \mid x_{<t}, c)$, exact, with $x$ the levels of the data in one row
as ids $0 \ldots K-1$, and $c$ a condition or none. The row begins with a token for it, which is
dropped at times, so that one model is conditional and unconditional. Each number costs one pass;
sampling keeps keys and values, so a step reads one token. Temperature, top-k and top-p change what
is drawn and no likelihood. Packed documents are read each by itself, their first ids being given.
Where examples are few, they are soon known by heart: then a share of the ids that are read in
training, not of those that are predicted, is replaced at random.

Use it for the exact likelihood of discrete data, as the prior over the ids of a quantiser, or as a
language model; avoid it where samples must be quick.

Sources: arXiv:1601.06759 eq. 1 (pixels); arXiv:1711.00937 §3.3 (prior over ids);
arXiv:1904.09751 §3.1 (top-p); arXiv:1506.03099 (training on ids that are not the data's).
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from typing_extensions import override

from danlu.backbones.transformer import Transformer, transformer_block
from danlu.conditioning import conditioner
from danlu.conditioning.classes import ClassEmbedding
from danlu.contracts import (
    Batch,
    Bound,
    DanluError,
    DataDescription,
    Evidence,
    Losses,
    Measure,
    Progress,
    SequenceContext,
    State,
    Told,
)
from danlu.contracts.noise import BatchNoise, Noise
from danlu.data.packing import PackedBatch
from danlu.generative.autoregressive.choosing import AutoregressiveOptions, allowed, pick
from danlu.generative.base import GenerativeModel
from danlu.generative.recipe import Recipe, Recipes, Regime, plan_of
from danlu.generative.tiny import TINY
from danlu.losses.likelihoods import ids_of
from danlu.mixers.base import after_step
from danlu.positions.learned import SPREAD, Learned
from danlu.positions.rotary import Rotary

LABEL_DROP = 0.1
"""Probability of training on an example without its class."""
PENALTY = 1e-4
"""Weight of what layers add to the loss, such as the commitment of quantised keys."""


class Autoregressive(GenerativeModel):
    """A causal stack over the ids of discrete data.

    Args:
        description: of data with levels; ids have the levels 0 to K - 1.
        stack: any causal stack on `[batch, dims, stack.dim]`.
        replaced: share of the ids read in training that is replaced at random.

    Attributes:
        unit: name of the loss.
    """

    can = frozenset({"sample", "log_prob", "condition"})
    instead: ClassVar[dict[str, str]] = {
        "encode": "it has no code; a VQ model with this as its prior has one."
    }
    Options: ClassVar[type] = AutoregressiveOptions
    unit: ClassVar[str] = "nats_per_number"

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
        width = stack.position.input_width(stack.dim)
        self.embedding = conditioner(description.condition, width)
        self.tokens = nn.Embedding(self.levels, width)
        self.logits = nn.Linear(stack.dim, self.levels)
        tables = [self.embedding.table] if isinstance(self.embedding, ClassEmbedding) else []
        for table in (*tables, self.tokens):
            nn.init.normal_(table.weight, std=SPREAD)

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {"model": [self]}

    @override
    def networks(self) -> list[nn.Module]:
        return [self.stack]

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        if isinstance(batch, PackedBatch):
            context = batch.context
            nats = self._nats_of_documents(batch, context)
        else:
            context = SequenceContext()
            condition = self.embedding.drop(batch.condition, LABEL_DROP)
            ids = self.ids(batch.x)
            read = self._disturbed(ids)
            log_prob = self.log_prob_of_ids(ids, condition, read=read, context=context)
            nats = -log_prob.mean() / self.description.dims
        parts = {self.unit: nats}
        for name, value in context.penalties:
            parts[name] = parts.get(name, 0.0) + PENALTY * value
        return Losses.of(**parts)

    @override
    def after_step(self, player: str, progress: Progress) -> None:
        after_step(self.stack, progress.step + 1)

    def ids(self, x: Tensor) -> Int[Tensor, "batch length"]:
        """Data on its scale as ids in one row; what are ids already stay."""
        return ids_of(x, self.description)

    def data(self, ids: Int[Tensor, "batch length"]) -> Float[Tensor, "batch ..."]:
        """Told as data on its scale."""
        x = self.description.low + ids.to(self.dtype) * self.description.spacing
        return x.unflatten(1, self.description.shape)

    def log_prob_of_ids(
        self,
        ids: Int[Tensor, "batch length"],
        condition: Told,
        *,
        read: Int[Tensor, "batch length"] | None = None,
        context: SequenceContext | None = None,
    ) -> Float[Tensor, " batch"]:
        """Exact log-probability of each row, nats; None is the null condition.

        `read` stands in place of the ids where they are read, and spoils the exactness. Layers
        leave their penalties in `context`.
        """
        first = self._told_token(condition, len(ids))
        read = ids if read is None else read
        given = torch.cat([first, self.tokens(read[:, :-1])], dim=1)
        y, _ = self.stack(given, context)
        logits = self.logits(y).to(torch.promote_types(y.dtype, torch.float32))
        return -cross_entropy(logits.transpose(1, 2), ids, reduction="none").sum(1)

    def _nats_of_documents(self, batch: PackedBatch, context: SequenceContext) -> Tensor:
        """The mean over all targets, which are the ids after the first of each document."""
        total = batch.x.shape[1]
        first = self._told_token(None, 1)
        given = torch.cat([first, self.tokens(batch.x[:, :-1])], dim=1)[:, :total]
        begins = batch.cu_seqlens[:-1]
        begins_here = torch.zeros(total, 1, dtype=torch.bool, device=given.device)
        begins_here[begins[begins < total]] = True
        given = torch.where(begins_here, first, given)
        y, _ = self.stack(given, context)
        index, wanted = batch.targets()
        logits = self.logits(y[0, index + 1]).to(torch.promote_types(y.dtype, torch.float32))
        return cross_entropy(logits, wanted, reduction="sum") / max(1, len(index))

    def draw_ids(
        self,
        noise: Noise,
        n: int,
        condition: Told,
        options: AutoregressiveOptions,
        *,
        given: Sequence[int] = (),
        length: int | None = None,
        reach: int | None = None,
    ) -> Int[Tensor, "n length"]:
        """Rows of ids, each number by one step from its own noise.

        Args:
            noise: one uniform number for each row and step.
            n: number of rows.
            condition: what they are told.
            options: what is drawn.
            given: ids that every row begins with.
            length: numbers to draw; as many as an example has unless given.
            reach: what is read at once has at most so many tokens, the class among them: when it
                is full, the older half is forgotten. None forgets nothing.
        """
        rows = torch.tensor([given], dtype=torch.long, device=self.device).expand(n, -1)
        first, seen = self._told_token(condition, n), 0
        y: Tensor | None = None
        state: State | None = None
        for _ in range(self.description.dims if length is None else length):
            if y is None or seen == reach:
                kept = rows.shape[1]
                if reach is not None:
                    kept = min(kept, reach - 1 if y is None else reach // 2)
                y, state = self._read(first, rows[:, rows.shape[1] - kept :])
                seen = 1 + kept
            else:
                y, state = self.stack.step(self.tokens(rows[:, -1]), state)
                seen += 1
            drawn = pick(allowed(self.logits(y), options), noise.uniform(1)[:, 0])
            rows = torch.cat([rows, drawn[:, None]], dim=1)
        return rows

    def _read(
        self, first: Float[Tensor, "n 1 dim"], ids: Int[Tensor, "n length"]
    ) -> tuple[Float[Tensor, "n dim"], State | None]:
        """What is said of the next id after these, and the state."""
        y, state = self.stack(torch.cat([first, self.tokens(ids)], dim=1))
        return y[:, -1], state

    @override
    def draw(
        self, noise: Noise, n: int, condition: Told, options: AutoregressiveOptions
    ) -> Float[Tensor, "n ..."]:
        return self.data(self.draw_ids(noise, n, condition, options))

    @override
    def evidence(
        self, x: Tensor, noise: Noise, condition: Told, options: AutoregressiveOptions
    ) -> Evidence:
        value = self.log_prob_of_ids(self.ids(x), condition)
        return Evidence(
            value=value,
            # Where tokens are sorted, the whole row decides a little about its beginning.
            bound=Bound.EXACT if self.stack.strict else Bound.NONE,
            stderr=torch.zeros_like(value),
            evaluations=1,
            measure=Measure.COUNTING,
            condition=self.named(condition),
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

    def _told_token(self, condition: Told, n: int) -> Float[Tensor, "n 1 dim"]:
        return self.embedding.vector(condition, n)[:, None]


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


RECIPES: Recipes = {
    Regime.SMALL_IMAGE: Recipe(model={"dim": 128, "depth": 4, "heads": 4}, plan=plan_of(64, 2e-3)),
    Regime.IMAGE: Recipe(model={"dim": 128, "depth": 4, "heads": 4}, plan=plan_of(16, 1e-3)),
}
