r"""Mode coverage on mixtures in the plane: which modes were found, and how cleanly?

A sample is of high quality when it lies within three standard deviations of its nearest mode,
$\min_j \lVert x - \mu_j \rVert \le 3\sigma$. A mode is hit when at least one such sample is
nearest to it.

Source: arXiv:1705.07761.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from typing_extensions import override

from danlu.evaluation.metrics.metric import Better, Comparison, Metric, Need
from danlu.evaluation.metrics.precision_recall import share
from danlu.evaluation.results import Measured

DEVIATIONS = 3.0


class ModesHit(Metric):
    """Share of the mixture's modes with at least one sample of high quality."""

    title = "Modes hit"
    measures = "Share of the mixture's modes that at least one good sample belongs to."
    better = Better.HIGHER
    unit = "%"
    noise = "One mode more or less is one part in the number of modes."
    needs = Need.DENSITY

    @override
    def applies(self, comparison: Comparison) -> bool:
        return comparison.reference.modes is not None

    @override
    def measure(self, comparison: Comparison) -> Measured:
        mode, good = _assigned(comparison)
        modes = comparison.reference.modes
        assert modes is not None
        return Measured(len(mode[good].unique()) / len(modes))


class HighQuality(Metric):
    """Share of samples within three standard deviations of a mode."""

    title = "On a mode"
    measures = "Share of samples within three standard deviations of a mode (98.9 % for the truth)."
    better = Better.HIGHER
    unit = "%"
    noise = "The standard error is given."
    needs = Need.DENSITY

    @override
    def applies(self, comparison: Comparison) -> bool:
        return comparison.reference.modes is not None

    @override
    def measure(self, comparison: Comparison) -> Measured:
        _, good = _assigned(comparison)
        return share(int(good.sum()), len(good))


def assign(
    x: Float[Tensor, "batch features"], modes: Float[Tensor, "modes features"], scale: float
) -> tuple[Int[Tensor, " batch"], Bool[Tensor, " batch"]]:
    """The nearest mode of each point, and whether the point is close enough to count."""
    distance, mode = torch.cdist(x.double(), modes.double()).min(1)
    return mode, distance <= DEVIATIONS * scale


def _assigned(comparison: Comparison) -> tuple[Tensor, Tensor]:
    modes, scale = comparison.reference.modes, comparison.reference.mode_scale
    assert modes is not None
    assert scale is not None
    return assign(comparison.x, modes, scale)
