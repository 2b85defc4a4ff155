r"""Distilled flow: a reflow whose last stage learns to reach the data in one step.

After a flow and its [reflow](families.md), new pairs $(T(z), z)$ are made by the straightened
flow, and the same network learns $v(z, 1) = z - T(z)$ at the noise end alone, by least squares. The
sample is $z - v(z, 1)$, one evaluation. What is left is a map from noise to data: it has no flow
between, no codes and no likelihood.

Use it for samples at the cost of one evaluation when the time for three stages is there.

Sources: arXiv:2209.03003 §2.2 (distillation).
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DataDescription, Export, Told
from danlu.contracts.noise import BatchNoise, Noise
from danlu.generative.base import NoOptions
from danlu.generative.diffusion import JUMPS
from danlu.generative.diffusion.exporting import flow_map_export
from danlu.generative.diffusion.jumps import FlowMap, leap
from danlu.generative.diffusion.networks import proportioned
from danlu.generative.diffusion.reflow import FLOW, REFLOW, Reflow, staged
from danlu.generative.tiny import TINY
from danlu.layers.rows import per_row

DISTIL = "distil"
TIMES = (1.0, 0.0)
JUMP = "straight"


class Distilled(Reflow):
    """A reflow with a last stage in which one step becomes exact."""

    can = frozenset({"sample", "condition"})
    instead: ClassVar[dict[str, str]] = {
        "log_prob": "only the way from pure noise to data is learned; reflow has a density.",
        "encode": "only the way from pure noise to data is learned; reflow goes both ways.",
        "decode": "sample, or take reflow, which also encodes.",
        "reconstruct": "it does not encode; reflow does.",
    }
    Options: ClassVar[type] = NoOptions
    names: ClassVar[Sequence[str]] = (FLOW, REFLOW, DISTIL)

    @override
    def pair_times(self, player: str, draws: BatchNoise) -> Float[Tensor, " batch"]:
        t = super().pair_times(player, draws)
        return torch.ones_like(t) if player == DISTIL else t

    def flow_map(self, condition: Told) -> FlowMap:
        """The step from any time to any other; exact from pure noise to the data."""

        def flow_map(
            x: Float[Tensor, "batch ..."], t: float, s: float
        ) -> Float[Tensor, "batch ..."]:
            rows = [x.new_full((len(x),), time) for time in (t, s)]
            return self.jumped(x, rows[0], rows[1], condition)

        return flow_map

    def jumped(self, x: Tensor, t: Tensor, s: Tensor, condition: Told) -> Tensor:
        """The same with a time for each row."""
        return x - per_row(t - s, x) * self.value(x, t, condition)

    @override
    def draw(self, noise: Noise, n: int, condition: Told, options: NoOptions) -> Tensor:
        jump, shape = JUMPS[JUMP].build(), self.description.shape
        return self.discrete(leap(jump, self.flow_map(condition), noise, shape, self.path, TIMES))

    @override
    def sampling_evaluations(self, options: NoOptions) -> int:
        return 1

    @override
    def prior_mismatch(self, x: Float[Tensor, "batch ..."]) -> None:
        return None

    @override
    def exports(self, options: NoOptions) -> dict[str, Export]:
        return {"flow-map": flow_map_export(self, self.jumped, self.path, TIMES, JUMP)}


def build(
    description: DataDescription = TINY,
    *,
    width: int = 16,
    levels: int = 1,
    blocks: int = 1,
    patch: int = 1,
    pairs: int = 16,
    share: float = 0.4,
) -> Distilled:
    """A distilled flow; the flow gets `share`, the two stages after it the rest in halves."""
    size = proportioned(description, width=width, levels=levels, blocks=blocks, patch=patch)
    return staged(Distilled, description, size, pairs=pairs, share=share)
