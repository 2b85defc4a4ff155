"""Every metric as it is measured, against its definition in plain loops on small sets."""

import math
from collections.abc import Sequence
from statistics import median, stdev

import torch
from torch import Tensor

from danlu.contracts import Classes, DataDescription, DataKind
from danlu.data import Examples
from danlu.evaluation import corruptions, reference
from danlu.evaluation.corruptions import blurred, noisy
from danlu.evaluation.features import untrained
from danlu.evaluation.features.classifier import Recipe
from danlu.evaluation.features.space import FeatureSpace
from danlu.evaluation.metrics import METRICS, nearest, neighbour_distance
from danlu.evaluation.metrics import sliced_wasserstein as sliced_wasserstein_metric
from danlu.evaluation.metrics.cloud import Cloud
from danlu.evaluation.metrics.frechet import frechet_distance, frechet_stderr
from danlu.evaluation.metrics.kid import KID
from danlu.evaluation.metrics.metric import Comparison
from danlu.evaluation.metrics.sliced_wasserstein import DIRECTIONS, sliced_wasserstein
from danlu.evaluation.metrics.wasserstein import MOST_DIMS, POINTS
from danlu.evaluation.reference import Reference
from danlu.evaluation.results import Measured
from danlu.laws.constants import golden_law
from danlu.laws.draws import standard_normal
from danlu.laws.gaps import gap, largest, relative_gap
from danlu.laws.law import Case, Law, stated

PLANE = DataDescription(shape=(2,), levels=None, low=-4.0, high=4.0, condition=Classes(2))
MODES = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 9.0]], dtype=torch.float64)
SCALE = 0.4
N = 24

Points = Sequence[Sequence[float]]


def _comparison() -> Comparison:
    """Samples beside as many held-out points, in the plane itself."""
    held_out, training = (Examples(standard_normal(N, 2, stream=i), None, PLANE) for i in (0, 1))
    reference = Reference(held_out, PLANE, training=training, modes=MODES, mode_scale=SCALE)
    space = FeatureSpace("plane", "0", lambda x: x, title="", classify=lambda x: x)
    x = 0.8 * standard_normal(N, 2, stream=2) + 0.3
    return Comparison(x, torch.arange(N) % 2, reference, space, Cloud(x))


def _share(hits: Sequence[bool]) -> tuple[float, float]:
    p = sum(hits) / len(hits)
    return p, math.sqrt(p * (1 - p) / len(hits))


def _balls(points: Points, centres: Points, k: int) -> list[list[bool]]:
    """Whether each point is in the ball of each centre, out to its k-th nearest other."""
    radius = [
        sorted(math.dist(centre, other) for j, other in enumerate(centres) if j != i)[k - 1]
        for i, centre in enumerate(centres)
    ]
    return [[math.dist(p, c) <= r for c, r in zip(centres, radius, strict=True)] for p in points]


def _median(values: Sequence[float]) -> tuple[float, float]:
    """The median, and half the distance of the quantiles at 1/2 ± 1/(2 sqrt n)."""
    ordered, half = sorted(values), 0.5 / math.sqrt(len(values))

    def quantile(level: float) -> float:
        place = level * (len(ordered) - 1)
        low = math.floor(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (place - low) * (ordered[high] - ordered[low])

    return median(values), (quantile(0.5 + half) - quantile(0.5 - half)) / 2


def _nearest(points: Points, others: Points) -> list[float]:
    return [min(math.dist(point, other) for other in others) for point in points]


def _definitions(comparison: Comparison) -> dict[str, tuple[float, float]]:
    """Every metric of the plane and its standard error, with the numbers of its source."""
    samples, held_out = comparison.x.tolist(), comparison.reference.x.tolist()
    assert comparison.reference.training is not None
    assert comparison.classes is not None
    training = comparison.reference.training.x().tolist()
    inside = _balls(samples, held_out, 5)
    counts = [sum(row) / 5 for row in inside]
    near = [min((math.dist(x, mode), j) for j, mode in enumerate(MODES.tolist())) for x in samples]
    good = [distance <= 3 * SCALE for distance, _ in near]
    top, top_error = _median(_nearest(samples, training))
    bottom, bottom_error = _median(_nearest(held_out, training))
    ratio_error = math.sqrt((top_error / bottom) ** 2 + (top * bottom_error / bottom**2) ** 2)
    agrees = [(x[1] > x[0]) == bool(c) for x, c in zip(samples, comparison.classes, strict=True)]
    return {
        "precision": _share([any(row) for row in _balls(samples, held_out, 3)]),
        "recall": _share([any(row) for row in _balls(held_out, samples, 3)]),
        "density": (sum(counts) / N, stdev(counts) / math.sqrt(N)),
        "coverage": _share([any(column) for column in zip(*inside, strict=True)]),
        "class-agreement": _share(agrees),
        "high-quality": _share(good),
        "modes-hit": (len({j for (_, j), ok in zip(near, good, strict=True) if ok}) / 3, 0.0),
        "neighbour-distance": (top / bottom, ratio_error),
    }


def _metric_cases() -> list[Case]:
    """Metrics of points and their standard errors equal plain loops with the source's numbers."""
    comparison = _comparison()
    return [
        (name, lambda name=name, facts=facts: gap(_facts(name, comparison), facts))
        for name, facts in _definitions(comparison).items()
    ]


def _facts(name: str, comparison: Comparison) -> tuple[float, float]:
    measured: Measured = METRICS[name].target().measure(comparison)
    return measured.value, measured.stderr or 0.0


def _frechet_error() -> float:
    """The error of the Fréchet distance is the delta method's, slopes by differentiation."""
    x, y = standard_normal(30, 3, stream=3), 1.5 * standard_normal(40, 3, stream=4) + 0.2
    mean, covariance = x.mean(0).requires_grad_(), x.T.cov().requires_grad_()
    values, vectors = torch.linalg.eigh(y.T.cov())
    root = vectors * values.sqrt() @ vectors.T
    overlap = torch.linalg.eigvalsh(root @ covariance @ root).sqrt().sum()
    distance = (mean - y.mean(0)).square().sum() + covariance.trace() - 2 * overlap
    by_mean, by_covariance = torch.autograd.grad(distance, (mean, covariance))
    centred = (x - x.mean(0)).detach()
    influence = centred @ by_mean + ((centred @ by_covariance) * centred).sum(1)
    expected = influence.std() / math.sqrt(len(x))
    whole = (distance + y.T.cov().trace()).item()
    clouds = Cloud(x), Cloud(y)
    return largest(
        relative_gap(frechet_stderr(*clouds), expected),
        relative_gap(frechet_distance(*clouds), whole),
    )


def _sharpness_error() -> float:
    """Sharpness and its error equal sums of waves above a quarter of a cycle a pixel."""
    description = DataDescription(
        kind=DataKind.IMAGE, shape=(1, 4, 6), levels=None, low=-9.0, high=9.0
    )
    x, y = standard_normal(5, 1, 4, 6, stream=5), 0.7 * standard_normal(7, 1, 4, 6, stream=6)
    reference = Reference(Examples(y, None, description), description)
    space = FeatureSpace("pixels", "0", lambda v: v.flatten(1), title="")
    found = (
        METRICS["sharpness"]
        .target()
        .measure(Comparison(x, None, reference, space, Cloud(x.flatten(1))))
    )
    powers = [[_power(image[0].tolist()) for image in images] for images in (x, y)]
    top, bottom = (sum(each) / len(each) for each in powers)
    errors = [stdev(each) / math.sqrt(len(each)) for each in powers]
    stderr = math.sqrt((errors[0] / bottom) ** 2 + (top * errors[1] / bottom**2) ** 2)
    return gap((found.value, found.stderr), (top / bottom, stderr))


def _power(image: list[list[float]]) -> float:
    """Squared sizes of the waves of more than a quarter of a cycle a pixel."""
    height, width, total = len(image), len(image[0]), 0.0
    for down in range(-(height // 2), height - height // 2):
        for across in range(-(width // 2), width - width // 2):
            if math.hypot(down / height, across / width) > 0.25:
                angles = [
                    (value, 2 * math.pi * (down * i / height + across * j / width))
                    for i, row in enumerate(image)
                    for j, value in enumerate(row)
                ]
                total += sum(value * math.cos(angle) for value, angle in angles) ** 2
                total += sum(value * math.sin(angle) for value, angle in angles) ** 2
    return total


def _slices() -> float:
    """A shift costs its squared length over the dimension, in standard errors of 256 views."""
    x, shift = (
        standard_normal(50, 4, stream=7),
        torch.tensor([3.0, 0.0, 4.0, 0.0], dtype=torch.float64),
    )
    found = sliced_wasserstein(Cloud(x), Cloud(x + shift))
    # <theta, s>^2 has the mean |s|^2 / d and sqrt(2 (d - 1) / (d + 2)) times that as deviation.
    spread = math.sqrt(2 * 3 / 6 / 256)
    return gap(found**2 / (25 / 4), 1) / spread


def _damage() -> Examples:
    description = DataDescription(
        kind=DataKind.IMAGE, shape=(1, 40, 40), levels=None, low=-1.0, high=1.0
    )
    return Examples(torch.zeros(8, 1, 40, 40), None, description)


def _spot() -> Tensor:
    description = DataDescription(
        kind=DataKind.IMAGE, shape=(1, 5, 5), levels=None, low=0.0, high=1.0
    )
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 2, 2] = 0.9
    return blurred(Examples(x, None, description))[0, 0]


SPOT = torch.zeros(5, 5)
SPOT[1:4, 1:4] = 0.1

CONSTANTS = golden_law(
    "evaluation/constants",
    "damaged data, directions and the recipe of the classifier are as documented",
    [
        (
            "noise of a tenth of the range, in standard errors of 12,800 pixels",
            lambda: gap(noisy(_damage()).double().std().item() / 0.2, 1) * math.sqrt(25600) < 4,
            True,
        ),
        ("a spot averaged over 3 by 3 pixels", _spot, SPOT),
        ("directions of the sliced distance", lambda: DIRECTIONS, 256),
        ("neighbours that a report shows", lambda: nearest.MOST_NEIGHBOURS, 5),
        ("points that an unbiased kernel distance needs on each side", lambda: KID.least, 3),
        ("points and dimensions of the exact distance", lambda: [POINTS, MOST_DIMS], [1000, 3]),
        (
            "steps of the classifier on 60,000, 1,000 and 100,000 examples",
            lambda: [Recipe().steps(n) for n in (60_000, 1_000, 100_000)],
            [1562, 187, 1562],
        ),
        (
            "its examples, epochs and batch",
            lambda: [
                Recipe().least_examples,
                Recipe().most_examples,
                Recipe().epochs,
                Recipe().batch,
                Recipe().seed,
            ],
            [24_000, 200_000, 4, 128, 0],
        ),
        (
            "what is drawn once for all: directions, damage, untrained networks",
            lambda: [sliced_wasserstein_metric.SEED, corruptions.SEED, untrained.SEED],
            [0, 0, 0],
        ),
        (
            "held-out sets from 1000 on are reliable; neighbours are told of as many",
            lambda: [reference.RELIABLE, neighbour_distance.POINTS],
            [1000, 1000],
        ),
        (
            "its rate, warm-up, decay and betas",
            lambda: [Recipe().rate, Recipe().warmup, Recipe().weight_decay, *Recipe().betas],
            [4e-3, 0.2, 0.02, 0.9, 0.99],
        ),
    ],
    tolerance=1e-7,
)

LAWS: list[Law] = [
    stated("evaluation/definitions", 1e-6, _metric_cases, "definition"),
    stated("evaluation/frechet-error", 1e-9, _frechet_error, "automatic differentiation"),
    stated("evaluation/sharpness-definition", 1e-9, _sharpness_error, "definition"),
    stated("evaluation/sliced-shift", 4.0, _slices, "closed form"),
    CONSTANTS,
]
