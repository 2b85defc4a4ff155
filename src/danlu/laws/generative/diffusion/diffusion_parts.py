"""Laws of the parts that diffusion models are trained by: paths, predictions, weightings."""

import math
from itertools import accumulate
from operator import mul

import torch
from torch import Tensor, nn

from danlu.conditioning.classes import ClassEmbedding
from danlu.contracts import Batch, DataDescription, Progress, Told
from danlu.generative.diffusion import PATHS, PRECONDITIONERS, PREDICTIONS, WEIGHTINGS
from danlu.generative.diffusion.analytic import GaussianDenoiser, MixtureDenoiser, two_dimensional
from danlu.generative.diffusion.beta_paths import LinearBeta, SubVariancePreserving
from danlu.generative.diffusion.discrete import (
    Discrete,
    cosine_betas,
    linear_betas,
    scaled_linear_betas,
)
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.diffusion.parts import Parts
from danlu.generative.diffusion.paths import EDM, Path, Point, VarianceExploding
from danlu.generative.diffusion.predictions import DATA_STD, combine, gain, solve
from danlu.generative.diffusion.weightings import MIN_SNR_GAMMA, edm, likelihood, min_snr, p2
from danlu.laws.draws import seeded
from danlu.laws.gaps import gap, largest, relative_gap
from danlu.laws.generative.diffusion.test_bed import points
from danlu.laws.law import Rows, table

TIMES = (0.0437, 0.3013, 0.8021)
"""Between the steps of every table, so that its slopes are smooth there."""
PLANE = DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0)


def paths() -> list[Path]:
    """Every path of the table."""
    return [method.build() for method in PATHS.values()]


def path_rates() -> float:
    """Rates are derivatives of the coefficients; time inverts level."""
    worst = 0.0
    for path in paths():
        t = torch.tensor(TIMES, dtype=torch.float64, requires_grad=True)
        for value, rate in zip(path.coefficients(t), path.rates(t), strict=True):
            # A constant coefficient carries no gradient; adding nothing of t makes it one of 0.
            (slope,) = torch.autograd.grad((value + 0 * t).sum(), t, retain_graph=True)
            worst = largest(worst, gap((slope - rate) / (1 + rate.abs()), 0.0))
        for time in TIMES:
            worst = largest(worst, gap(path.time(path.at(time).level), time))
    return worst


def forward_equation() -> float:
    """Every path's drift and diffusion are those of its coefficients' differences."""
    worst, h = 0.0, 1e-4
    for path in paths():
        for t in TIMES[1:]:
            point, before, after = path.at(t), path.at(t - h), path.at(t + h)
            ratio = after.alpha / before.alpha
            drift = math.log(ratio) / (2 * h)
            # What a linear equation with this drift adds to the variance over the interval.
            added = after.sigma**2 - ratio**2 * before.sigma**2
            diffusion = added / ratio / (2 * h)
            worst = largest(worst, gap(drift, point.drift) / (1 + abs(drift)))
            worst = largest(worst, gap(diffusion / point.squared_diffusion, 1))
    return worst


def known_equations() -> float:
    """Variance-preserving, sub-VP, exploding and EDM have their published equations."""
    worst = 0.0
    for t in TIMES:
        beta = 0.1 + 19.9 * t
        forgotten = 0.1 * t + 19.9 * t**2 / 2
        grown = 0.01 * 5000.0**t
        known = {
            LinearBeta: (-beta / 2, beta),
            SubVariancePreserving: (-beta / 2, beta * -math.expm1(-2 * forgotten)),
            VarianceExploding: (0.0, 2 * math.log(5000.0) * grown**2),
            EDM: (0.0, 2 * 80.0**2 * t),
        }
        for kind, (drift, diffusion) in known.items():
            point = kind().at(t)
            worst = largest(
                worst, gap(point.drift, drift), gap(point.squared_diffusion / diffusion, 1)
            )
    return worst


def discrete_nodes() -> float:
    """The published tables of 1000 steps are exact at their own times."""
    bend = lambda i: math.cos((i / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2
    first, last = math.sqrt(0.00085), math.sqrt(0.012)
    tables = (
        (linear_betas(), lambda i: 1e-4 + (0.02 - 1e-4) * (i - 1) / 999),
        (scaled_linear_betas(), lambda i: (first + (last - first) * (i - 1) / 999) ** 2),
        (cosine_betas(), lambda i: min(0.999, 1 - bend(i) / bend(i - 1))),
    )
    t, worst = torch.arange(1, 1001, dtype=torch.float64) / 1000, 0.0
    for betas, beta in tables:
        path = Discrete(betas)
        kept = torch.tensor([*accumulate((1 - beta(i) for i in range(1, 1001)), mul)])
        alpha, sigma = path.coefficients(t)
        found = alpha.square(), sigma.square(), path.times(((1 - kept) / kept).sqrt())
        worst = largest(worst, gap(found, (kept, 1 - kept, t)))
    return worst


def predictions_convert() -> float:
    """Every prediction converts to data and noise and back on every path."""
    data, noise = points(), points().flip(0)
    worst = 0.0
    for path in paths():
        for t in TIMES:
            point = path.at(t)
            x = point.alpha * data + point.sigma * noise
            for method in PREDICTIONS.values():
                value = combine(method.target, point, data, noise)
                found_data, found_noise = solve(method.target, point, x, value)
                # Data drowns where the level is high: its digits are those of x / alpha.
                scale = 1 + point.level
                worst = largest(worst, gap(found_data, data) / scale)
                worst = largest(worst, gap(found_noise, noise) / (1 + 1 / point.level))
    return worst


def edm_has_unit_variance() -> float:
    """Edm's input and target have unit variance, and are uncorrelated."""
    worst = 0.0
    for path in paths():
        t = torch.tensor(TIMES, dtype=torch.float64)
        point = path.points(t)
        scale, _ = PRECONDITIONERS["edm"].target(point, t)
        a, b = PREDICTIONS["edm"].target(point)
        given = scale**2 * ((DATA_STD * point.alpha) ** 2 + point.sigma**2)
        target = (DATA_STD * a) ** 2 + b**2
        # And the target is uncorrelated with the input: what is left to learn is a residual.
        shared = DATA_STD**2 * a * point.alpha + b * point.sigma
        worst = largest(worst, *(gap(each, 0.0) for each in (given - 1, target - 1, shared)))
    return worst


def weighting_forms() -> float:
    """Every weighting has its closed form; likelihood is minus half the SNR's rate."""
    worst = 0.0
    for path in paths():
        t = torch.tensor(TIMES, dtype=torch.float64, requires_grad=True)
        point = path.points(t)
        alpha, sigma = path.coefficients(t)
        snr = (alpha / sigma) ** 2
        (rate,) = torch.autograd.grad(snr.sum(), t)
        level, one = point.level, torch.ones_like(t)
        of_f = gain(PREDICTIONS["edm"].target, point) ** 2
        of_noise = gain(PREDICTIONS["noise"].target, point) ** 2
        pairs = [
            (likelihood(point, one), -rate / 2),
            (edm(point, one), (level**2 + DATA_STD**2) / (level * DATA_STD) ** 2),
            (edm(point, one), of_f),
            (WEIGHTINGS["simple"].target(point, one), of_noise),
            (WEIGHTINGS["unit"].target(point, of_f), of_f),
            (min_snr(point, one), torch.minimum(snr, MIN_SNR_GAMMA * one)),
            (p2(point, one), 1 / (1 + level**2)),
        ]
        gaps = [gap((found - known) / known, 0.0) for found, known in pairs]
        worst = largest(worst, *gaps)
    return worst


class ExactNetwork(nn.Module):
    """A network that predicts what a denoiser would, slightly wrong or not, under any parts."""

    def __init__(
        self, denoise: GaussianDenoiser | MixtureDenoiser, parts: Parts, *, error: float = 0.1
    ) -> None:
        super().__init__()
        self.error = error
        self.classes = ClassEmbedding(0, 1)
        self.denoise = denoise
        self.path = PATHS[parts.path].build()
        self.prediction = PREDICTIONS[parts.prediction].target

    def forward(self, x: Tensor, label: Tensor, condition: Told) -> Tensor:
        """The predicted value at the times that are the labels."""
        point: Point[Tensor] = self.path.points(label).like(x)
        y = x / point.alpha
        data = self.denoise(y, point.level[:, 0]) + self.error
        return combine(self.prediction, point, data, (y - data) / point.level)


def cross_training() -> float:
    """Under a weighting of the data's error the loss is the same for every prediction."""
    worst = 0.0
    for path in PATHS:
        for weighting in ("simple", "edm", "min-snr"):
            losses = []
            for prediction in PREDICTIONS:
                parts = Parts(
                    path=path, prediction=prediction, weighting=weighting, times="uniform"
                )
                exact = GaussianDenoiser(torch.zeros(2), torch.eye(2))
                model = DiffusionModel(PLANE, ExactNetwork(exact, parts), parts)
                batch = Batch(points(16), None, torch.arange(16))
                with seeded():
                    losses.append(model.loss(batch, "model", Progress(0, 0.0, 0)).total.item())
            worst = largest(worst, relative_gap(losses, losses[:1] * len(losses)))
    return worst


def any_training_samples_alike() -> float:
    """Every path and prediction gives back the same exact denoiser."""
    mixture, y, worst = two_dimensional(), points(), 0.0
    for path in PATHS:
        for prediction in PREDICTIONS:
            parts = Parts(path=path, prediction=prediction)
            model = DiffusionModel(PLANE, ExactNetwork(mixture, parts), parts)
            for level in (0.3, 5.0):
                found = model.denoiser(None)(y, level)
                rows = model.denoised(y, y.new_full((len(y),), level), None)
                for each in (found, rows):
                    worst = largest(worst, gap(each - mixture(y, level), 0.1) / (1 + level))
    return worst


_LAWS: Rows = {
    "automatic differentiation": [
        ("diffusion/path rates", 1e-11, path_rates),
    ],
    "finite differences": [
        ("diffusion/forward equation", 1e-4, forward_equation),
    ],
    "definition": [
        ("diffusion/known equations", 1e-12, known_equations),
        ("diffusion/discrete nodes", 1e-12, discrete_nodes),
        ("diffusion/weightings", 1e-9, weighting_forms),
    ],
    "self-consistency": [
        ("diffusion/predictions", 1e-12, predictions_convert),
        ("diffusion/cross-training", 1e-9, cross_training),
    ],
    "closed form": [
        ("diffusion/edm scalings", 1e-12, edm_has_unit_variance),
        ("diffusion/one denoiser", 1e-11, any_training_samples_alike),
    ],
}

LAWS = table(_LAWS)
