r"""Masked language model: hidden characters or bytes of a text from those on both sides.

Of each window of $n$ tokens, $m = \max(1, \operatorname{round}(0.15 n))$ are chosen at random. Of
these 80 % are replaced by a mask, 10 % by any token and 10 % stay as they are, so that the model
must doubt what it reads. It minimises

$-\frac1m \sum_{t \in M} \log p(x_t \mid \tilde x)$

over the chosen tokens $M$ alone, $\tilde x$ being the spoiled window. Every mixer that sees both
sides can stand in the stack: `--set model.mixer=fnet`.

Use it for vectors of tokens in their context (`encode`) and to fill in blanks (`fill`); it has no
likelihood of a whole text, and draws none: that is what `lm` is for.

Sources: arXiv:1810.04805 §3.1 (task and shares); arXiv:1907.11692 §4.1 (new masks every time).
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from typing_extensions import override

from danlu.backbones.named import StackOptions, stack_of
from danlu.backbones.sized import Sizes
from danlu.backbones.transformer import Transformer
from danlu.contracts import Asked, Batch, DanluError, DataDescription, DataKind, Losses, Progress
from danlu.contracts.noise import BatchNoise, ItemNoise, Noise
from danlu.data.text import tokens_of
from danlu.generative.base import GenerativeModel
from danlu.generative.recipe import Recipe, Recipes, Regime, plan_of
from danlu.generative.tiny import TINY
from danlu.losses.likelihoods import ids_of
from danlu.mixers.base import after_step
from danlu.positions.learned import SPREAD

SHARE, MASKED, RANDOM = 0.15, 0.8, 0.1
"""Of all tokens those to predict; of these those behind a mask, and those that are any token."""


class MaskedModel(GenerativeModel):
    """A stack that sees both sides, over the ids of discrete data.

    Args:
        description: of data with levels.
        stack: any stack on `[batch, dims, stack.dim]` that sees both sides.
    """

    can = frozenset({"encode"})
    instead: ClassVar[dict[str, str]] = {
        "sample": "it fills in blanks (`fill`); `lm` draws texts.",
        "log_prob": "its guesses of single tokens are no likelihood of a text; `lm` has one.",
        "decode": "its code is a vector of each token, which is there to be used.",
        "reconstruct": "its code is a vector of each token, which is there to be used.",
    }
    kinds: ClassVar[frozenset[DataKind]] = GenerativeModel.kinds | {DataKind.TEXT}

    def __init__(self, description: DataDescription, stack: Transformer) -> None:
        super().__init__(description)
        if description.levels is None:
            raise DanluError("A masked model needs text, or other data with levels.")
        if stack.causal:
            raise DanluError("A masked model needs a stack that sees both sides.")
        self.levels, self.stack = description.levels, stack
        # One id more than there are tokens: the mask.
        self.tokens = nn.Embedding(self.levels + 1, stack.position.input_width(stack.dim))
        self.logits = nn.Linear(stack.dim, self.levels)
        nn.init.normal_(self.tokens.weight, std=SPREAD)

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {"model": [self]}

    @override
    def networks(self) -> list[nn.Module]:
        return [self.stack]

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        noise = BatchNoise(len(batch), device=batch.x.device)
        nats, _ = self._guesses(self.ids(batch.x), noise)
        return Losses.of(nats_per_masked_token=nats.mean())

    @override
    def after_step(self, player: str, progress: Progress) -> None:
        after_step(self.stack, progress.step + 1)

    def ids(self, x: Tensor) -> Int[Tensor, "batch length"]:
        """Data on its scale as ids in one row; what are ids already stay."""
        return ids_of(x, self.description)

    def spoiled(
        self, ids: Int[Tensor, "batch length"], noise: Noise
    ) -> tuple[Int[Tensor, "batch length"], Int[Tensor, "batch chosen"]]:
        """The ids to read, and the places of those to predict."""
        length = ids.shape[1]
        place = noise.uniform(length).argsort(1)[:, : max(1, round(SHARE * length))]
        fate = noise.uniform(place.shape[1])
        other = (noise.uniform(place.shape[1]) * self.levels).long().clamp(max=self.levels - 1)
        there = ids.gather(1, place)
        there = torch.where(fate < MASKED + RANDOM, other, there)
        there = torch.where(fate < MASKED, self.levels, there)
        return ids.scatter(1, place, there), place

    def logits_of(self, ids: Int[Tensor, "batch length"]) -> Float[Tensor, "batch length levels"]:
        """What is said of each token, from all that are read."""
        y, _ = self.stack(self.tokens(ids))
        return self.logits(y).to(torch.promote_types(y.dtype, torch.float32))

    def _guesses(
        self, ids: Int[Tensor, "batch length"], noise: Noise
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        """Of each example the mean nats of the chosen tokens, and the share that is guessed."""
        read, place = self.spoiled(ids, noise)
        y, _ = self.stack(self.tokens(read))
        chosen = y.gather(1, place[..., None].expand(-1, -1, y.shape[2]))
        logits = self.logits(chosen).to(torch.promote_types(y.dtype, torch.float32))
        wanted = ids.gather(1, place)
        nats = cross_entropy(logits.transpose(1, 2), wanted, reduction="none").mean(1)
        return nats, (logits.argmax(2) == wanted).to(nats.dtype).mean(1)

    @override
    def encode(
        self, x: Tensor, *, condition: Asked = None, seed: int = 0
    ) -> Float[Tensor, "batch length dim"]:
        """A vector of each token in its context."""
        with torch.no_grad():
            return self.stack(self.tokens(self.ids(self.check_data(x, "encode"))))[0]

    @override
    def held_out_figures(
        self, x: Tensor, *, seed: int = 0
    ) -> Mapping[str, Float[Tensor, " batch"]]:
        noise = ItemNoise(seed, range(len(x)), device=self.device)
        with torch.no_grad():
            nats, right = self._guesses(self.ids(x.to(self.device)), noise)
        return {"nats_per_masked_token": nats, "masked_accuracy": right}

    def fill(self, text: str, *, blank: str = "_") -> str:
        """The text with each blank replaced by the likeliest token, the surest one first.

        Raises:
            DanluError: the model is of no text, or a character is unknown.
        """
        tokens = tokens_of(self.description)
        pieces = text.split(blank)
        parts = [tokens.encode(piece) if piece else torch.empty(0).long() for piece in pieces]
        mask = torch.tensor([self.levels])
        ids = torch.cat([parts[0], *(torch.cat([mask, part]) for part in parts[1:])])[None]
        ids = ids.to(self.device)
        with torch.no_grad():
            while bool((hidden := ids == self.levels).any()):
                ids = self._surest(ids, hidden)
        return tokens.decode(ids[0].cpu())

    def _surest(
        self, ids: Int[Tensor, "1 length"], hidden: Bool[Tensor, "1 length"]
    ) -> Int[Tensor, "1 length"]:
        """The ids with one blank less."""
        best = self.logits_of(ids).softmax(2).max(2)
        place = best.values.masked_fill(~hidden, -1.0).argmax(1)
        return ids.scatter(1, place[:, None], best.indices.gather(1, place[:, None]))


def build(
    description: DataDescription = TINY,
    *,
    mixer: str = "bidirectional",
    dim: int = 32,
    depth: int = 2,
    heads: int = 2,
    position: str = "auto",
    parts: str = "",
) -> MaskedModel:
    """A stack of any mixers that see both sides; `parts` as of `lm`."""
    sizes = Sizes(dim=dim, depth=depth, heads=heads, length=description.dims)
    options = StackOptions(mixer=mixer, position=position, parts=parts, causal=False)
    if description.levels is None:
        raise DanluError("A masked model needs text, or other data with levels.")
    return MaskedModel(description, stack_of(sizes, options))


RECIPES: Recipes = {
    Regime.TEXT: Recipe(model={"dim": 128, "depth": 4, "heads": 4}, plan=plan_of(32, 1e-3)),
}
