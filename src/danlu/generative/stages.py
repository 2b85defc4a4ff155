r"""Two-stage models: a chain makes codes, then a second model becomes their prior.

The first model trains on the data with a prior of its own; the data is encoded once; the second
model trains on the codes while the first stays frozen. The likelihood is the chain's, with the
second model as its prior:

$\log p(x) \succeq \log p_2(\text{code}) + \sum_l \text{contribution}_l$

Sources: arXiv:1711.00937 §3.3 (a learned prior over codes), arXiv:2112.10752 (latent diffusion).
"""

from dataclasses import replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import (
    Batch,
    DanluError,
    DataDescription,
    Evidence,
    Losses,
    Player,
    Progress,
    Stage,
    Stream,
)
from danlu.generative.base import Code, Condition, GenerativeModel
from danlu.generative.chain import Chain, ChainOptions, Ids, known
from danlu.solvers.noise import Noise

ENCODE_BATCH = 256


class Staged(GenerativeModel):
    """A chain, then a generative model over its code.

    Args:
        description: of the data; the first model may be blind to its classes.
        first: its code must be one tensor.
        prior: described by the shape of the code.
        share: part of the budget that the first model gets.
    """

    can = frozenset({"sample", "log_prob", "encode", "decode", "reconstruct", "condition"})
    Options: ClassVar[type] = ChainOptions

    def __init__(
        self, description: DataDescription, first: Chain, prior: GenerativeModel, *, share: float
    ) -> None:
        super().__init__(description)
        if not 0 < share < 1:
            raise DanluError(f"The share of the first stage lies between 0 and 1, got {share}.")
        self.first = first
        self.prior = prior
        self.share = share
        self.picture_options = first.picture_options
        self.picture_note = first.picture_note

    # --- training -----------------------------------------------------------------------------

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        first = {f"first.{name}": modules for name, modules in self.first.players().items()}
        prior = {f"prior.{name}": modules for name, modules in self.prior.players().items()}
        return first | prior

    @override
    def stages(self) -> list[Stage]:
        first = [_within("first", stage, self.share) for stage in self.first.stages()]
        prior = [_within("prior", stage, 1 - self.share) for stage in self.prior.stages()]
        return [*first, *(replace(stage, prepare=encode_data) for stage in prior)]

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        model, name = self._side(player)
        return model.loss(_blind(batch, model), name, progress)

    @override
    def start(self, batch: Batch) -> None:
        self.first.start(_blind(batch, self.first))
        self.prior.start(self._coded(batch))

    @override
    def after_step(self, player: str, progress: Progress) -> None:
        model, name = self._side(player)
        model.after_step(name, progress)

    @override
    def averaged(self) -> list[nn.Module]:
        return [*self.first.averaged(), *self.prior.averaged()]

    # --- use ----------------------------------------------------------------------------------

    @override
    def draw(self, noise: Noise, n: int, condition: Ids, options: ChainOptions) -> Tensor:
        return self.first.draw_under(self.prior, noise, n, condition, options)

    @override
    def sampling_evaluations(self, options: ChainOptions) -> int:
        return self.prior.sampling_evaluations(self.prior.Options()) + 1

    @override
    def evidence(self, x: Tensor, noise: Noise, condition: Ids, options: ChainOptions) -> Evidence:
        return self.first.evidence_under(self.prior, x, noise, condition, options)

    @override
    def encode(self, x: Tensor, *, condition: Condition = None, seed: int = 0) -> Code:
        ids = self.check_condition(condition, len(x))
        return self.first.encode(x, condition=known(self.first, ids), seed=seed)

    @override
    def decode(self, code: Code, *, condition: Condition = None, seed: int = 0) -> Tensor:
        n = len(code[0] if isinstance(code, tuple) else code)
        ids = self.check_condition(condition, n)
        return self.first.decode(code, condition=known(self.first, ids), seed=seed)

    def code(self, batch: Batch, *, seed: int) -> Float[Tensor, "batch ..."]:
        """What the first model makes of a batch, for the prior."""
        condition = known(self.first, batch.condition)
        code = self.first.encode(batch.x, condition=condition, seed=seed)
        if isinstance(code, tuple):
            raise DanluError("A prior over a code of several tensors needs a stage for each.")
        return code

    def _side(self, player: str) -> tuple[GenerativeModel, str]:
        side, name = player.split(".", maxsplit=1)
        return (self.first if side == "first" else self.prior), name

    def _coded(self, batch: Batch) -> Batch:
        """The batch in the eyes of the prior."""
        code = self.code(batch, seed=0)
        return _blind(Batch(code, batch.condition, batch.index), self.prior)


@torch.no_grad()
def encode_data(model: Staged, stream: Stream) -> Stream:
    """The stream of codes of the data, drawn once for each example."""
    codes = []
    for batch in stream.once(ENCODE_BATCH):
        batch = batch.to(model.device, model.dtype)
        # The first index seeds the batch, so that no two batches share their noise.
        codes.append(model.code(batch, seed=int(batch.index[0])).cpu())
    return stream.replaced(torch.cat(codes), model.prior.description)


def _within(side: str, stage: Stage, share: float) -> Stage:
    plays = tuple(Player(f"{side}.{play.name}", play.times) for play in stage.plays)
    return replace(stage, name=f"{side}.{stage.name}", share=share * stage.share, plays=plays)


def _blind(batch: Batch, model: GenerativeModel) -> Batch:
    """The batch without classes for a model that has none."""
    return batch if model.description.classes else replace(batch, condition=None)
