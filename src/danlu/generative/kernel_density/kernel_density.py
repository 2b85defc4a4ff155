r"""Kernel density: every training example becomes a small Gaussian, and nothing is learned.

$p(x) = \frac1n \sum_i \mathcal N(x; x_i, h^2 I)$ with the examples $x_i$ and one bandwidth h, and
$p(x \mid c)$ the same over the examples of class c with a bandwidth of its own. The bandwidth is
the maximum of the likelihood of validation examples, or of every training example under all the
others, $\sum_i \ln \frac{1}{n-1} \sum_{j \ne i} \mathcal N(x_i; x_j, h^2 I)$. Values on levels are
dequantised, so that the density becomes a bound on a probability.

Use it as the yardstick without a network: its density is exact and hard to beat in the plane, and
a sample is a training example under noise, which shows as the number of dimensions grows.

Sources: doi:10.1214/aoms/1177704472 (Parzen 1962); doi:10.1109/T-C.1976.5009231 (Duin 1976, the
leave-one-out choice).
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import (
    Asked,
    Batch,
    Bound,
    DanluError,
    DataDescription,
    Evidence,
    Losses,
    Measure,
    Progress,
    Told,
)
from danlu.contracts.noise import Noise
from danlu.data import Examples
from danlu.generative.base import Code, GenerativeModel
from danlu.generative.chain import Chain
from danlu.generative.kernel_density.bandwidth import (
    best_bandwidth,
    log_density,
    squared_distances,
)
from danlu.generative.parts.dequantise import Dequantise

POINTS = 500
"""Most points that choose a bandwidth."""
CAN = frozenset({"sample", "log_prob", "condition"})


class Kernels(GenerativeModel):
    """The mixture of Gaussians around the examples, a density with respect to Lebesgue measure.

    Args:
        description: of the data; its levels do not matter here.
        centres: the examples, in the order of their classes.
        counts: examples of each class, and last of all.
        bandwidth: of each class, and last of all examples together.
    """

    can = CAN
    honours = frozenset({"class"})
    counts: Int[Tensor, " rows"]
    log_bandwidth: Float[Tensor, " rows"]

    def __init__(
        self,
        description: DataDescription,
        centres: Float[Tensor, "n ..."],
        counts: Int[Tensor, " rows"],
        bandwidth: Float[Tensor, " rows"],
    ) -> None:
        super().__init__(description)
        self.centres = nn.Parameter(centres.clone(), requires_grad=False)
        self.register_buffer("counts", counts.clone())
        self.register_buffer("log_bandwidth", bandwidth.log())

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {}

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        raise self.lacks("training")

    @override
    def evidence(self, x: Tensor, noise: Noise, condition: Told, options: Any) -> Evidence:
        flat = x.flatten(1)
        value = flat.new_empty(len(flat))
        ids = self._ids(condition, len(flat))
        for each in ids.unique().tolist():
            chosen = ids == each
            first, count = self._range(each)
            centres = self.centres[first : first + count].flatten(1)
            squared = squared_distances(flat[chosen], centres)
            value[chosen] = log_density(squared, self.log_bandwidth[each].exp(), flat.shape[1])
        return Evidence(
            value=value,
            bound=Bound.EXACT,
            stderr=torch.zeros_like(value),
            evaluations=0,
            measure=Measure.LEBESGUE,
            condition=self.named(condition),
            dims=self.description.dims,
        )

    @override
    def draw(self, noise: Noise, n: int, condition: Told, options: Any) -> Tensor:
        ids = self._ids(condition, n)
        ranges = torch.tensor([self._range(each) for each in ids.tolist()]).view(n, 2)
        first, count = ranges.to(self.device).unbind(1)
        # Rounding may lift a number just below 1 to 1.
        index = (noise.uniform(1)[:, 0].double() * count).long().clamp(max=count - 1)
        scale = self.log_bandwidth[ids].exp().view(-1, *[1] * len(self.description.shape))
        return self.centres[first + index] + scale * noise.normal(*self.description.shape)

    def _ids(self, condition: Told, n: int) -> Int[Tensor, " n"]:
        """Rows of counts and bandwidths: the class, or the last one for all examples."""
        if condition is not None and condition.ids is not None:
            return torch.where(condition.present, condition.ids, len(self.counts) - 1)
        return torch.full((n,), len(self.counts) - 1, device=self.device)

    def _range(self, row: int) -> tuple[int, int]:
        """First example and number of examples of a row."""
        first = 0 if row == len(self.counts) - 1 else int(self.counts[:row].sum())
        return first, int(self.counts[row])


class KernelDensity(Chain):
    """A Gaussian kernel on every training example; dequantises values that lie on levels."""

    can = CAN
    honours = frozenset({"class"})
    instead = dict.fromkeys(
        ("encode", "decode", "reconstruct"), "it has no code; a flow or a VAE has one."
    ) | {"training": "it is fitted by KernelDensity.fit(training, description)."}

    def __init__(self, description: DataDescription, kernels: Kernels) -> None:
        layers = [] if description.levels is None else [Dequantise(description)]
        super().__init__(description, layers, kernels)
        self.kernels = kernels

    @classmethod
    @torch.no_grad()
    def fit(
        cls,
        training: Examples,
        description: DataDescription,
        *,
        validation: Examples | None = None,
        seed: int = 0,
    ) -> "KernelDensity":
        """The kernel density of the training examples with the best bandwidths.

        Args:
            training: every example is kept.
            description: of the data; classes give a density for each class too.
            validation: what the bandwidths make likely; the training examples themselves, each
                under the others, if None.
            seed: of the dequantisation and of the choice of `POINTS` among many examples.

        Raises:
            DanluError: fewer than two examples, or a class without any.
        """
        ids = _ids(training, description)
        order = ids.argsort(stable=True)
        x, ids = training.x(order), ids[order]
        counts = ids.bincount(minlength=description.classes)[: description.classes]
        if len(x) < 2 or not bool((counts > 0).all()):
            raise DanluError("A kernel density needs two examples, and one of each class.")
        chooser = _Chooser(description, x, ids, validation, seed)
        # The last row is for all examples; a class that no point can tell has its bandwidth too.
        of_all = chooser.bandwidth(None)
        rows = [chooser.bandwidth(each) or of_all for each in range(description.classes)]
        bandwidth = x.new_tensor([*rows, of_all])
        counts = torch.cat([counts, torch.tensor([len(x)])])
        return cls(description, Kernels(description, x, counts, bandwidth))

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {}

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        raise self.lacks("training")

    @override
    def encode(self, x: Tensor, *, condition: Asked = None, seed: int = 0) -> Code:
        raise self.lacks("encode")

    @override
    def decode(self, code: Code, *, condition: Asked = None, seed: int = 0) -> Tensor:
        raise self.lacks("decode")


class _Chooser:
    """The points that choose bandwidths, in random order, as continuous values."""

    def __init__(
        self,
        description: DataDescription,
        x: Float[Tensor, "n ..."],
        ids: Int[Tensor, " n"],
        validation: Examples | None,
        seed: int,
    ) -> None:
        self.x, self.ids = x.flatten(1), ids
        generator = torch.Generator().manual_seed(seed)
        points = x if validation is None else validation.x()
        order = torch.randperm(len(points), generator=generator)
        self.points = points[order].flatten(1)
        if description.levels is not None:
            u = torch.rand(self.points.shape, generator=generator)
            self.points += description.spacing * (u - 0.5)
        self.point_ids = (ids if validation is None else _ids(validation, description))[order]
        self.own = order if validation is None else None

    def bandwidth(self, row: int | None) -> float | None:
        """The best one for a class, or for all; None where too few examples are left."""
        inside = self.ids >= 0 if row is None else self.ids == row
        near = self.point_ids >= 0 if row is None else self.point_ids == row
        chosen = near.nonzero()[:POINTS, 0]
        own = None
        if self.own is not None:  # counted among the centres of this row, which are neighbours
            own = self.own[chosen] - int(inside.long().argmax())
        if len(chosen) == 0 or (own is not None and int(inside.sum()) < 2):
            return None
        return best_bandwidth(self.points[chosen], self.x[inside], own)


def _ids(examples: Examples, description: DataDescription) -> Int[Tensor, " n"]:
    """The class of each example; 0 for data without classes."""
    if not description.classes:
        return torch.zeros(len(examples), dtype=torch.long)
    if examples.ids is None:
        raise DanluError("A kernel density by class needs the class of each example.")
    return examples.ids
