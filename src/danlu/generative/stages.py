r"""Two-stage models: a chain makes codes, then a second model becomes their prior.

The first model trains on the data with a prior of its own; the data is encoded once; the second
model trains on the codes while the first stays frozen. The likelihood is the chain's, with the
second model as its prior:

$\log p(x) \succeq \log p_2(\text{code}) + \sum_l \text{contribution}_l$

Sources: arXiv:1711.00937 §3.3 (a learned prior over codes), arXiv:2112.10752 (latent diffusion).
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import (
    Asked,
    Batch,
    DanluError,
    DataDescription,
    Evidence,
    Export,
    Losses,
    Player,
    Port,
    Progress,
    Stage,
    Stream,
)
from danlu.contracts.noise import Noise
from danlu.contracts.stage import Prepare
from danlu.generative.base import Code, GenerativeModel
from danlu.generative.chain import Chain, ChainOptions, Ids, known

ENCODE_BATCH = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedOptions(ChainOptions):
    """Options of two-stage models: those of the chain, and of a prior that has them.

    Attributes:
        solver: of the prior's sampler, as the following ones; None is the prior's default.
        grid: of the prior's sampler.
        evaluations: of the prior for one sample.
        guidance: of the prior by class.
        temperature: of a prior over ids, as the following ones.
        top_k: of a prior over ids.
        top_p: of a prior over ids.
    """

    solver: str | None = None
    grid: str | None = None
    evaluations: int | None = None
    guidance: float | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None

    def of(self, prior: GenerativeModel) -> Any:
        """The options of a prior; raises `DanluError` if it lacks one of those that are set."""
        names = [f.name for f in fields(StagedOptions)[len(fields(ChainOptions)) :]]
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        known = {field.name for field in fields(prior.Options)}
        for name in given.keys() - known:
            raise DanluError(f"The prior {type(prior).__name__} has no option {name!r}.")
        return prior.Options(**given)


class Staged(GenerativeModel):
    """A chain, then a generative model over its code.

    The prior starts on codes of the trained chain, when its first stage prepares its data. That
    it has started is part of the state, for a resume may prepare the data again.

    Args:
        description: of the data; the first model may be blind to its classes.
        first: its code must be one tensor.
        prior: described by the shape of the code.
        share: part of the budget that the first model gets.
    """

    can = frozenset({"sample", "log_prob", "encode", "decode", "reconstruct", "condition"})
    Options: ClassVar[type] = StagedOptions
    prior_started: Tensor

    def __init__(
        self, description: DataDescription, first: Chain, prior: GenerativeModel, *, share: float
    ) -> None:
        super().__init__(description)
        if not 0 < share < 1:
            raise DanluError(f"The share of the first stage lies between 0 and 1, got {share}.")
        self.first = first
        self.prior = prior
        self.share = share
        self.register_buffer("prior_started", torch.tensor(False))
        if first.picture_options is not None:
            self.picture_options = StagedOptions(**asdict(first.picture_options))
        self.picture_note = first.picture_note

    # --- training -----------------------------------------------------------------------------

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        first = {f"first.{name}": modules for name, modules in self.first.players().items()}
        prior = {f"prior.{name}": modules for name, modules in self.prior.players().items()}
        return first | prior

    @override
    def networks(self) -> list[nn.Module]:
        return [*self.first.networks(), *self.prior.networks()]

    @override
    def couples(self, player: str) -> str:
        model, name = self._side(player)
        return model.couples(name)

    @override
    def stages(self) -> list[Stage]:
        first = [
            _within("first", stage, self.share, _prepare_first(stage.prepare))
            for stage in self.first.stages()
        ]
        prior = [
            _within("prior", stage, 1 - self.share, _prepare_prior(stage.prepare))
            for stage in self.prior.stages()
        ]
        return [*first, *prior]

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        model, name = self._side(player)
        return model.loss(_blind(batch, model), name, progress)

    @override
    def start(self, batch: Batch) -> None:
        self.first.start(_blind(batch, self.first))

    @torch.no_grad()
    def start_prior(self, codes: Stream) -> None:
        """Data-dependent initialisation of the prior on codes, unless it has happened before."""
        if self.prior_started:
            return
        position, training = codes.position, self.prior.training
        batch = next(codes).to(self.device, self.dtype)
        codes.seek(position)
        self.prior.train()
        self.prior.start(_blind(batch, self.prior))
        self.prior.train(training)
        self.prior_started.fill_(True)

    @override
    def after_step(self, player: str, progress: Progress) -> None:
        model, name = self._side(player)
        model.after_step(name, progress)

    @override
    def finish(self, batches: Iterable[Batch]) -> None:
        # A change of the first model after the prior has begun would change the codes.
        if self.prior_started:
            self.prior.finish([self._coded(batch) for batch in batches])
        else:
            self.first.finish([_blind(batch, self.first) for batch in batches])

    @override
    def averaged(self) -> list[nn.Module]:
        return [*self.first.averaged(), *self.prior.averaged()]

    # --- use ----------------------------------------------------------------------------------

    @override
    def draw(self, noise: Noise, n: int, condition: Ids, options: StagedOptions) -> Tensor:
        code = self.prior.draw(noise, n, known(self.prior, condition), options.of(self.prior))
        return self.first.expand(code, condition, noise, options.output)

    @override
    def sampling_evaluations(self, options: StagedOptions) -> int:
        prior = self.prior.sampling_evaluations(options.of(self.prior))
        return prior + self.first.evaluations.decode

    @override
    def exports(self, options: StagedOptions) -> dict[str, Export]:
        first = self.first.exports(options)
        prior = self.prior.exports(options.of(self.prior))
        named = {
            f"prior-{name}" if name in first else name: replace(
                part, about=f"for codes: {part.about}", output=Port(about="a code, for the decoder")
            )
            for name, part in prior.items()
        }
        return {**named, **first}

    @override
    def evidence(self, x: Tensor, noise: Noise, condition: Ids, options: StagedOptions) -> Evidence:
        found = self.first.evidence_under(self.prior, x, noise, condition, options)
        return replace(found, condition=self.named(condition))  # the first may be told nothing

    @override
    def prior_mismatch(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, " batch"] | None:
        batch = Batch(x, None, torch.arange(len(x))).to(self.device, self.dtype)
        return self.prior.prior_mismatch(self._coded(batch).x)

    @override
    def encode(self, x: Tensor, *, condition: Asked = None, seed: int = 0) -> Code:
        x, told = self.check_data(x, "encode"), self.check_condition(condition, len(x))
        return self.first.encode(x, condition=known(self.first, told), seed=seed)

    @override
    def decode(self, code: Code, *, condition: Asked = None, seed: int = 0) -> Tensor:
        code, n = self.check_code(code)
        told = self.check_condition(condition, n)
        return self.first.decode(code, condition=known(self.first, told), seed=seed)

    def code(self, batch: Batch, *, seed: int) -> Num[Tensor, "batch ..."]:
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
        code = self.code(batch, seed=int(batch.index[0]))
        return _blind(replace(batch, x=code), self.prior)


@torch.no_grad()
def encode_data(model: Staged, stream: Stream) -> Stream:
    """The stream of codes of the data, drawn once for each example."""
    codes = []
    for batch in stream.once(ENCODE_BATCH):
        batch = batch.to(model.device, model.dtype)
        # The first index seeds the batch, so that no two batches share their noise.
        codes.append(model.code(batch, seed=int(batch.index[0])).cpu())
    return stream.replaced(torch.cat(codes), model.prior.description)


def _prepare_first(inner: Prepare | None) -> Prepare | None:
    """What the first model itself prepares, as a stage of the whole asks for it."""
    return None if inner is None else lambda model, stream: inner(model.first, stream)


def _prepare_prior(inner: Prepare | None) -> Prepare:
    """Codes of the data, from which the prior starts and then prepares its own."""

    def prepare(model: Staged, stream: Stream) -> Stream:
        codes = encode_data(model, stream)
        model.start_prior(codes)
        return codes if inner is None else inner(model.prior, codes)

    return prepare


def _within(side: str, stage: Stage, share: float, prepare: Prepare | None) -> Stage:
    plays = tuple(Player(f"{side}.{play.name}", play.times) for play in stage.plays)
    name, share = f"{side}.{stage.name}", share * stage.share
    return Stage(name=name, share=share, plays=plays, prepare=prepare)


def _blind(batch: Batch, model: GenerativeModel) -> Batch:
    """The batch without conditions for a model that is told nothing."""
    return batch if model.description.condition else replace(batch, condition=None)
