r"""Two-stage models: one that encodes makes codes, then a second model becomes their prior.

The first model trains on the data with a prior of its own; the data is encoded once; the second
model trains on the codes while the first stays frozen. The likelihood is the chain's, with the
second model as its prior:

$\log p(x) \succeq \log p_2(\text{code}) + \sum_l \text{contribution}_l$

Sources: arXiv:1711.00937 §3.3 (a learned prior over codes), arXiv:2112.10752 (latent diffusion).
"""

from collections.abc import Iterable, Sequence
from dataclasses import field, make_dataclass, replace
from functools import cache
from math import prod
from typing import Any

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import (
    Asked,
    Batch,
    Bound,
    CapabilityError,
    DanluError,
    DataDescription,
    Evidence,
    Export,
    Losses,
    Port,
    Progress,
    Stage,
    Stream,
    Told,
)
from danlu.contracts.noise import Noise
from danlu.generative.base import Code, GenerativeModel
from danlu.generative.chain import Chain, Evaluations, as_numbers, known
from danlu.generative.composing import prepare_first, prepare_prior, within


@cache
def options_of(first: type, prior: type) -> type:
    """The options of a two-stage model: those of its parts, each under its name."""
    parts = [(name, kind, field(default_factory=kind)) for name, kind in
             (("first", first), ("prior", prior))]  # fmt: skip
    return make_dataclass("StagedOptions", parts, frozen=True, kw_only=True, slots=True)


class Staged(GenerativeModel):
    """A model that encodes and decodes, then a generative model over its code.

    What it can, its options and its bound follow from the parts. The prior of a chain is over the
    last code; what the layers kept is in their contribution. A first model that is no chain gives
    its code no density: the value is then the code's, and bounds nothing.

    The prior starts on codes of the trained first model, when its first stage prepares its data.
    That it has started is part of the state, for a resume may prepare the data again.

    Args:
        description: of the data; the first model may be blind to its classes.
        first: encodes and decodes.
        prior: of any family, described by the shape of the code.
        share: part of the budget that the first model gets.
        shapes: of the code's tensors where it has several and the first model is no chain; the
            prior then sees all in one row.
    """

    prior_started: Tensor

    def __init__(
        self,
        description: DataDescription,
        first: GenerativeModel,
        prior: GenerativeModel,
        *,
        share: float,
        shapes: Sequence[tuple[int, ...]] = (),
    ) -> None:
        super().__init__(description)
        if not 0 < share < 1:
            raise DanluError(f"The share of the first stage lies between 0 and 1, got {share}.")
        for need in ("encode", "decode"):
            first.require(need)
        self.first = first
        self.prior = prior
        self.share = share
        self.shapes = tuple(shapes)
        self.can = self._abilities()
        self.register_buffer("prior_started", torch.tensor(False))
        if first.picture_options is not None:
            self.picture_options = self.Options(first=first.picture_options)
        self.picture_note = first.picture_note

    @property
    def Options(self) -> type:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those of the parts, which may change theirs."""
        return options_of(self.first.Options, self.prior.Options)

    def _abilities(self) -> frozenset[str]:
        """What the parts together really can."""
        first, prior = self.first, self.prior
        told = [
            part
            for part in (first, prior)
            if "condition" in part.can and part.description.condition == self.description.condition
        ]
        return (
            (first.can & {"encode", "decode", "reconstruct"})
            | (prior.can & {"sample", "log_prob"})
            | (frozenset({"condition"}) if told else frozenset())
        )

    @override
    def lacks(self, capability: str) -> CapabilityError:
        parts = (self.first, self.prior)
        part = next((each for each in parts if capability not in each.can), self.prior)
        return CapabilityError(
            f"{type(self).__name__} has no {capability}: {part.lacks(capability)}"
        )

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
            within("first", stage, self.share, prepare_first(stage.prepare))
            for stage in self.first.stages()
        ]
        prior = [
            within("prior", stage, 1 - self.share, prepare_prior(stage.prepare))
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
    def draw(self, noise: Noise, n: int, condition: Told, options: Any) -> Tensor:
        code = self.prior.draw(noise, n, known(self.prior, condition), options.prior)
        if isinstance(self.first, Chain):
            return self.first.expand(code, condition, noise, options.first.output)
        return self.first.decode(self._parted(code), condition=known(self.first, condition))

    @property
    def _evaluations(self) -> Evaluations:
        """Of the first model; one that is no chain goes each way in one call."""
        return self.first.evaluations if isinstance(self.first, Chain) else Evaluations(1, 1)

    @override
    def sampling_evaluations(self, options: Any) -> int:
        return self.prior.sampling_evaluations(options.prior) + self._evaluations.decode

    @override
    def exports(self, options: Any) -> dict[str, Export]:
        if not isinstance(self.first, Chain):
            raise self.lacks("export")
        first = self.first.exports(options.first)
        prior = self.prior.exports(options.prior)
        named = {
            f"prior-{name}" if name in first else name: replace(
                part, about=f"for codes: {part.about}", output=Port(about="a code, for the decoder")
            )
            for name, part in prior.items()
        }
        return {**named, **first}

    @override
    def evidence(self, x: Tensor, noise: Noise, condition: Told, options: Any) -> Evidence:
        if isinstance(self.first, Chain):
            found = self.first.evidence_under(
                self.prior, x, noise, condition, options.first, options.prior
            )
            return replace(found, condition=self.named(condition))  # the first may be told nothing
        code = self._joined(self.first.encode(x, condition=known(self.first, condition)))
        found = self.prior.evidence(
            as_numbers(code, self.dtype), noise, known(self.prior, condition), options.prior
        )
        return replace(
            found,
            bound=Bound.NONE,
            evaluations=found.evaluations + self._evaluations.encode,
            condition=self.named(condition),
            dims=self.description.dims,
        )

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
        return self._joined(self.first.encode(batch.x, condition=condition, seed=seed))

    def _joined(self, code: Code) -> Num[Tensor, "batch ..."]:
        """A code as the prior sees it."""
        if not isinstance(code, tuple):
            return code
        if isinstance(self.first, Chain):
            return code[0]
        found = tuple(tuple(part.shape[1:]) for part in code)
        if found != self.shapes:
            raise DanluError(
                f"The code has tensors of shapes {found}, and told were {self.shapes}."
            )
        return torch.cat([part.flatten(1) for part in code], dim=1)

    def _parted(self, code: Tensor) -> Code:
        """A code as the first model takes it."""
        if not self.shapes:
            return code
        parts = code.split([prod(shape) for shape in self.shapes], dim=1)
        return tuple(
            part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)
        )

    def _side(self, player: str) -> tuple[GenerativeModel, str]:
        side, name = player.split(".", maxsplit=1)
        return (self.first if side == "first" else self.prior), name

    def _coded(self, batch: Batch) -> Batch:
        """The batch in the eyes of the prior."""
        code = self.code(batch, seed=int(batch.index[0]))
        return _blind(replace(batch, x=code), self.prior)


def _blind(batch: Batch, model: GenerativeModel) -> Batch:
    """The batch as a model reads it: ids as numbers, and told nothing where it knows no kind."""
    condition = batch.condition if model.description.condition else None
    return replace(batch, x=as_numbers(batch.x, model.dtype), condition=condition)
