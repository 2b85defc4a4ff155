r"""Reflow: train a flow, let it pair noise with its own samples, and train it again on the pairs.

The first stage is a rectified flow. Its ODE carries a noise $z$ to a sample $T(z)$ whose law is the
model's, so that the pairs $(T(z), z)$ have the right marginals, but their lines
$x_t = (1-t)\,T(z) + t z$ hardly cross. The second stage learns $E[z - T(z) \mid x_t]$, a flow with
the same samples on straighter paths, which fewer steps follow. In one dimension lines never cross
and one step is exact.

The same network goes on in the second stage. Pairs are made once, as many as a quarter of the
stage's time affords, without rounding to levels, and kept with the run; every tenth is made without
its class, so that the flow stays unconditional too.
Lines of pairs are not independent of the noise: a flow is left and no score, so solvers with fresh
noise and likelihoods by levels are refused.

Use it when samples must be cheap and two or four steps are to be nearly as good as many.

Sources: arXiv:2209.03003 §2.2 and alg. 1; kexue.fm/archives/9497.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Bool, Float, Int
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
    Told,
)
from danlu.contracts.noise import BatchNoise, ItemNoise, Noise
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.diffusion.networks import ConditionedNetwork, proportioned
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.recipes import usual
from danlu.generative.diffusion.solvers.solver import Solver, run
from danlu.generative.diffusion.time_samplers import stratified, uniform
from danlu.generative.tiny import TINY
from danlu.layers.rows import per_row

FLOW, REFLOW = "flow", "reflow"
"""Players, and the stages in which they play."""
NOISE = "noise"
"""What a pair has beside its sample."""
UNCONDITIONAL_EVERY = 10
MADE_AT_ONCE = 256
COST = 40
"""Examples to learn from for each pair: it takes as many evaluations as ten of them, which then
are a quarter of the stage."""
FINE = DiffusionOptions(evaluations=31)
"""How pairs are made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReflowOptions(DiffusionOptions):
    """Options of sampling and likelihood; few steps of Euler's rule are the default."""

    solver: str = "euler"
    evaluations: int = 4


class Reflow(DiffusionModel):
    """A rectified flow with stages that learn from its own pairs.

    Args:
        description: of the data.
        network: as of a rectified flow.
        pairs: how many are made at most for each further stage.
        shares: of the budget, one for each of `names`.
        fine: options by which pairs are made.

    Attributes:
        names: of the stages and their players; the first one learns from the data.
    """

    Options: ClassVar[type] = ReflowOptions
    names: ClassVar[Sequence[str]] = (FLOW, REFLOW)

    def __init__(
        self,
        description: DataDescription,
        network: nn.Module,
        *,
        pairs: int,
        shares: Sequence[float],
        fine: DiffusionOptions = FINE,
    ) -> None:
        super().__init__(description, network)
        if pairs < 1:
            raise DanluError(f"A flow needs at least one pair to learn from, got {pairs}.")
        if not all(0 < share < 1 for share in shares):
            raise DanluError(f"Shares of stages lie between 0 and 1, got {list(shares)}.")
        self.pairs = pairs
        self.shares = tuple(shares)
        self.fine = fine

    # --- training -----------------------------------------------------------------------------

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {name: [self.network] for name in self.names}

    @override
    def stages(self) -> list[Stage]:
        found, before = [], 0.0
        for name, share in zip(self.names, self.shares, strict=True):
            prepare = partial(paired, share=share / before) if before else None
            found.append(Stage(name=name, share=share, plays=(Player(name),), prepare=prepare))
            before += share
        return found

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        if player == FLOW:
            return super().loss(batch, player, progress)
        x, noise = batch.x, batch.extra[NOISE]
        draws = BatchNoise(len(batch), device=x.device, dtype=x.dtype)
        t = self.pair_times(player, draws)
        share = per_row(t, x)
        condition = self.pair_conditions(batch.condition, batch.index)
        value = self.value((1 - share) * x + share * noise, t, condition)
        error = value.to(torch.promote_types(value.dtype, torch.float32)) - (noise - x)
        return Losses.of(**{player: error.square().mean()})

    def pair_times(self, player: str, draws: BatchNoise) -> Float[Tensor, " batch"]:
        """The times at which lines of pairs are learned."""
        return stratified(draws, uniform, self.path)

    def pair_conditions(self, condition: Told, index: Int[Tensor, " batch"]) -> Told:
        """The conditions with which pairs were made."""
        return None if condition is None else condition.only(~unconditional(index))

    @torch.no_grad()
    def carried(self, z: Float[Tensor, "batch ..."], condition: Told) -> Float[Tensor, "batch ..."]:
        """The samples to which the flow carries a noise, before any rounding."""
        solver, grid = super().plan(self.fine)
        noise = BatchNoise(len(z), device=z.device, dtype=z.dtype)
        return run(solver, self.denoiser(condition), grid[0] * z, grid, noise)

    # --- use ----------------------------------------------------------------------------------

    @override
    def plan(
        self, options: DiffusionOptions, highest: float | None = None
    ) -> tuple[Solver, list[float]]:
        solver, grid = super().plan(options, highest)
        if solver.needs_score:
            raise self._has_no_score(f"the fresh noise of solver {options.solver!r}")
        return solver, grid

    @override
    def evidence(
        self, x: Tensor, noise: Noise, condition: Told, options: DiffusionOptions
    ) -> Evidence:
        if options.likelihood != "flow":
            raise self._has_no_score(f"the likelihood {options.likelihood!r}")
        return super().evidence(x, noise, condition, options)

    def _has_no_score(self, what: str) -> DanluError:
        return DanluError(
            f"A flow that was trained on its own pairs has no score, which {what} needs: take a "
            "solver without noise and the likelihood 'flow', or train a rectified-flow."
        )


Kind = TypeVar("Kind", bound=Reflow)


def unconditional(index: Int[Tensor, " batch"]) -> Bool[Tensor, " batch"]:
    """Which pairs are made without their condition."""
    return index % UNCONDITIONAL_EVERY == 0


def affordable(pairs: int, taken: int, share: float) -> int:
    """How many pairs are made for a stage.

    Args:
        pairs: at most.
        taken: examples that the stages before have read; all pairs are made where it is 0.
        share: of the budget of this stage, over that of the stages before.
    """
    ahead = max(1, round(taken * share))
    return min(pairs, max(min(ahead, MADE_AT_ONCE), ahead // COST)) if taken else pairs


@torch.no_grad()
def paired(model: Reflow, stream: Stream, *, share: float = 1.0) -> Stream:
    """The stream of pairs that the model makes: samples, each with its noise as `extra`.

    The classes are spread like those of the data. Torch's seed decides the noise. There are fewer
    pairs than asked for where the budget is short, by what the stages before have read.
    """
    seed = int(torch.randint(2**62, ()))
    shape, count = model.description.shape, affordable(model.pairs, stream.position, share)
    z = ItemNoise(seed, range(count), dtype=model.dtype).normal(*shape)
    continuous = replace(model.description, levels=None)
    noises, samples = stream.replaced(z, continuous), []
    for batch in noises.once(MADE_AT_ONCE):
        batch = batch.to(model.device, model.dtype)
        x = model.carried(batch.x, model.pair_conditions(batch.condition, batch.index))
        samples.append(x.cpu())
    return noises.replaced(torch.cat(samples), continuous, {NOISE: z})


def staged(
    kind: type[Kind], description: DataDescription, size: Any, *, pairs: int, share: float
) -> Kind:
    """A model of a size whose first stage gets `share`, and the later ones the rest alike."""
    later = len(kind.names) - 1
    shares = (share, *[(1 - share) / later] * later)
    network = ConditionedNetwork(description, size)
    return kind(description, network, pairs=pairs, shares=shares)


def build(
    description: DataDescription = TINY,
    *,
    width: int = 16,
    levels: int = 1,
    blocks: int = 1,
    patch: int = 1,
    pairs: int = 16,
    share: float = 0.5,
) -> Reflow:
    """A reflow for the described data; the flow gets `share`, the pairs the rest."""
    size = proportioned(description, width=width, levels=levels, blocks=blocks, patch=patch)
    return staged(Reflow, description, size, pairs=pairs, share=share)


RECIPES = usual(model={"pairs": 4096})
