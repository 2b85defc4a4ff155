r"""Consistency model: one network that maps every point of a trajectory to the trajectory's data.

With noise levels $\hat\sigma \ge \hat\sigma_{\min}$ and $\sigma_d = 1/2$,

$f(y, \hat\sigma) = c_{skip}\,y + c_{out}\,F(c_{in}\,y, \tfrac14\ln\hat\sigma)$,
$c_{skip} = \frac{\sigma_d^2}{(\hat\sigma-\hat\sigma_{\min})^2+\sigma_d^2}$,
$c_{out} = \frac{\sigma_d(\hat\sigma-\hat\sigma_{\min})}{\sqrt{\hat\sigma^2+\sigma_d^2}}$,

so that $f(y, \hat\sigma_{\min}) = y$ for any network. It is trained without a teacher of its own:
neighbouring levels of a discretisation $\hat\sigma_1 < \dots < \hat\sigma_N$ are given the same
data and noise, and the upper one must say what the lower one says,

$\frac{1}{\hat\sigma_{i+1}-\hat\sigma_i}\,d\big(f(x_0+\hat\sigma_{i+1}z, \hat\sigma_{i+1}),\,
\text{sg} f(x_0+\hat\sigma_i z, \hat\sigma_i)\big)$, $d(a, b) = \sqrt{\|a-b\|^2+c^2} - c$,

with levels even in the seventh root, drawn by a log-normal law, $c = 0.00054\sqrt{\dim}$, and N
doubled at even shares of the training. Further evaluations jump to the data and back up to a lower
level.

Use it for samples in one or two evaluations, where no likelihood is needed.

Sources: arXiv:2303.01469 eq. 5 and alg. 3 (consistency training), arXiv:2310.14189 §3 (weighting,
distance, levels and schedule).
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import Batch, DanluError, DataDescription, Export, Losses, Progress, Told
from danlu.contracts.noise import BatchNoise, Noise
from danlu.generative.base import GenerativeModel
from danlu.generative.diffusion import JUMPS, preconditioners
from danlu.generative.diffusion.exporting import flow_map_export
from danlu.generative.diffusion.grids import karras
from danlu.generative.diffusion.jumps import FlowMap, leap
from danlu.generative.diffusion.model import LABEL_DROP
from danlu.generative.diffusion.networks import ConditionedNetwork, proportioned
from danlu.generative.diffusion.paths import EDM
from danlu.generative.diffusion.predictions import DATA_STD
from danlu.generative.diffusion.recipes import usual
from danlu.generative.tiny import TINY
from danlu.layers.rows import per_row
from danlu.losses.likelihoods import round_to_levels

LOG_LEVEL_MEAN, LOG_LEVEL_STD = -1.1, 2.0
HUBER = 0.00054
COARSE = 10
"""Steps between levels at the start of training."""
JUMP = "renoised"

Rows = Float[Tensor, " batch"]
Batched = Float[Tensor, "batch ..."]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsistencyOptions:
    """Options of sampling.

    Attributes:
        evaluations: jumps to the data for one sample.
    """

    evaluations: int = 2

    def __post_init__(self) -> None:
        if self.evaluations < 1:
            raise DanluError(f"evaluations must be at least 1, got {self.evaluations}.")


class Consistency(GenerativeModel):
    """A map from noisy data to the data at the end of its trajectory.

    Args:
        description: of the data.
        network: conditioned on the noise level and the class.
        coarse: steps between levels at the start of training.
        fine: at its end.
    """

    can = frozenset({"sample", "condition"})
    instead: ClassVar[dict[str, str]] = {
        "log_prob": "a map to the data has no density; meanflow has one.",
        "encode": "it goes to the data alone; meanflow and rectified-flow go both ways.",
        "decode": "its jumps draw fresh noise; sample, or take meanflow.",
        "reconstruct": "it does not encode; meanflow and rectified-flow do.",
    }
    Options: ClassVar[type] = ConsistencyOptions

    def __init__(
        self, description: DataDescription, network: nn.Module, *, coarse: int = COARSE, fine: int
    ) -> None:
        super().__init__(description)
        if not 1 <= coarse <= fine:
            raise DanluError(f"Steps between levels grow from 1 or more, got {coarse} to {fine}.")
        self.network: Any = network  # beside forward it has `classes`
        self.path = EDM()
        self.lowest, self.highest = self.path.levels()
        self.coarse, self.fine = coarse, fine

    # --- training -----------------------------------------------------------------------------

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {"model": [self.network]}

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        x = batch.x
        draws = BatchNoise(len(x), device=x.device, dtype=x.dtype)
        lower, upper = self.neighbours(draws.stratified(), progress.fraction)
        noise = draws.normal(*x.shape[1:])
        condition = self.network.classes.drop(batch.condition, LABEL_DROP)
        with torch.no_grad():
            target = self.data(x + per_row(lower, x) * noise, lower, condition)
        value = self.data(x + per_row(upper, x) * noise, upper, condition)
        weight = 1 / (upper - lower)
        return Losses.of(consistency=(weight * pseudo_huber(value, target)).mean())

    def steps(self, fraction: float) -> int:
        """Steps between levels at a share of the training: doubled at even shares up to `fine`."""
        doublings = math.ceil(math.log2(self.fine / self.coarse)) + 1
        return min(self.coarse * 2 ** min(int(fraction * doublings), doublings - 1), self.fine)

    def levels(self, fraction: float) -> Float[Tensor, " levels"]:
        """The rising levels of the discretisation at a share of the training, float64."""
        falling = karras(self.path, self.steps(fraction) + 1, self.lowest, self.highest)[:-1]
        return torch.tensor(falling[::-1], dtype=torch.float64)

    def neighbours(self, u: Rows, fraction: float) -> tuple[Rows, Rows]:
        """Two neighbouring levels for each row, drawn by even numbers u in [0, 1)."""
        levels = self.levels(fraction).to(u.device)
        edges = torch.special.ndtr((levels.log() - LOG_LEVEL_MEAN) / LOG_LEVEL_STD)
        at = edges[0] + u.double() * (edges[-1] - edges[0])
        i = (edges[1:-1] <= at[:, None]).sum(-1)
        return levels[i].to(u.dtype), levels[i + 1].to(u.dtype)

    # --- the map ------------------------------------------------------------------------------

    def data(self, y: Batched, level: Rows, condition: Told) -> Batched:
        """The data at the end of each row's trajectory."""
        point = self.path.points(level / self.highest)
        scale, label = preconditioners.edm(point, level)
        above = level - self.lowest
        skip = DATA_STD**2 / (above**2 + DATA_STD**2)
        out = DATA_STD * above * scale
        value = self.network(per_row(scale, y) * y, label, condition)
        return per_row(skip, y) * y + per_row(out, y) * value

    def flow_map(self, condition: Told) -> FlowMap:
        """The model as a map between two times, of which the second is 0."""

        def flow_map(x: Batched, t: float, s: float) -> Batched:
            if s != 0.0:
                raise DanluError(f"A consistency model maps to the data alone, not to time {s}.")
            return self.data(x, x.new_full((len(x),), self.path.at(t).level), condition)

        return flow_map

    @override
    def draw(self, noise: Noise, n: int, condition: Told, options: ConsistencyOptions) -> Tensor:
        jump, flow_map, times = JUMPS[JUMP].build(), self.flow_map(condition), self.times(options)
        x = leap(jump, flow_map, noise, self.description.shape, self.path, times)
        return round_to_levels(x, self.description) if self.description.levels else x

    def times(self, options: ConsistencyOptions) -> list[float]:
        """The times of jumps: even in the seventh root of the level, the lowest replaced by 0."""
        levels = karras(self.path, options.evaluations + 1, self.lowest, self.highest)[:-2]
        return [*(self.path.time(level) for level in levels), 0.0]

    @override
    def sampling_evaluations(self, options: ConsistencyOptions) -> int:
        return options.evaluations

    @override
    def exports(self, options: ConsistencyOptions) -> dict[str, Export]:
        def mapped(x: Tensor, t: Tensor, s: Tensor, condition: Told) -> Tensor:
            return self.data(x, t * self.highest, condition) + 0 * per_row(s, x)  # s is an input

        return {"flow-map": flow_map_export(self, mapped, self.path, self.times(options), JUMP)}


def pseudo_huber(a: Batched, b: Batched) -> Rows:
    """A distance that is quadratic below $c$ and grows like the norm above."""
    shift = HUBER * math.sqrt(a[0].numel())
    return ((a - b).square().flatten(1).sum(1) + shift**2).sqrt() - shift


def build(
    description: DataDescription = TINY,
    *,
    width: int = 16,
    levels: int = 1,
    blocks: int = 1,
    patch: int = 1,
    network: str = "unet",
    fine: int = 160,
) -> Consistency:
    """A consistency model for the described data; the defaults are tiny."""
    size = proportioned(
        description, width=width, levels=levels, blocks=blocks, patch=patch, network=network
    )
    return Consistency(description, ConditionedNetwork(description, size), fine=fine)


RECIPES = usual()
