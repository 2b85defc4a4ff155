"""Samples of diffusion models, and what their networks are told, step by step with given noise."""

import math
import warnings

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from danlu.contracts import Classes, Condition, DataDescription
from danlu.contracts.recorded_noise import GivenNoise
from danlu.generative.diffusion.consistency import Consistency, ConsistencyOptions
from danlu.generative.diffusion.distilled import Distilled
from danlu.generative.diffusion.grids import clipped
from danlu.generative.diffusion.guidance.chosen import chosen
from danlu.generative.diffusion.meanflow import MeanFlow, MeanFlowOptions
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.diffusion.networks import ConditionedNetwork, NetworkOptions, SpanNetwork
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.paths import Linear
from danlu.generative.diffusion.reflow import Reflow
from danlu.generative.diffusion.solvers.stochastic_heun import StochasticHeun
from danlu.laws.draws import generator, seed
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.diffusion.diffusion_losses import NET, PLANE
from danlu.laws.law import Case, Law, law_of_cases, stated

N = 4


def _noise(*streams: int) -> list[Tensor]:
    return [torch.randn(N, 2, generator=generator(stream)) for stream in streams]


def _rows(value: float) -> Tensor:
    return torch.full((N,), value)


def _consistency() -> float:
    """To the data from 80, up by fresh noise to the next of the levels even in the 7th root."""
    model, draws = Consistency(PLANE, NET, fine=1280), _noise(0, 1, 2)
    ends = 80.0 ** (1 / 7), 0.002 ** (1 / 7)
    levels = [(ends[0] + i / 3 * (ends[1] - ends[0])) ** 7 for i in range(3)]
    x = levels[0] * draws[0]
    for level, z in zip(levels[1:], draws[1:], strict=True):
        x = model.data(x, _rows(levels[levels.index(level) - 1]), None) + level * z
    exact = model.data(x, _rows(levels[-1]), None)
    options = ConsistencyOptions(evaluations=3)
    cost = model.sampling_evaluations(options)
    return gap((model.draw(GivenNoise(draws), N, None, options), cost), (exact, 3))


def _meanflow() -> float:
    """Along average velocities from time 1 over half the way of the grid to the data."""
    model, (z,) = MeanFlow(PLANE, NET), _noise(0)
    middle = z - (1 - 0.4995) * NET(z, _rows(1.0), None, _rows(1 - 0.4995))
    exact = middle - 0.4995 * NET(middle, _rows(0.4995), None, _rows(0.4995))
    return gap(model.draw(GivenNoise([z]), N, None, MeanFlowOptions(evaluations=2)), exact)


def _distilled() -> float:
    model, (z,) = Distilled(PLANE, NET, pairs=1, shares=(0.4, 0.3, 0.3)), _noise(0)
    found = model.draw(GivenNoise([z]), N, None, model.Options())
    cost = model.sampling_evaluations(model.Options())
    return gap((found, cost), (z - NET(z, _rows(1.0), None), 1))


def _euler() -> float:
    """Even steps of Euler's rule from time 0.999, the noise at that time's deviation."""
    model, (z,) = DiffusionModel(PLANE, NET), _noise(0)
    x = 0.999 * z
    for t, s in ((0.999, 0.666), (0.666, 0.333), (0.333, 0.0)):
        x = x - (t - s) * NET(x, _rows(t), None)
    options = DiffusionOptions(solver="euler", evaluations=3)
    return gap(model.draw(GivenNoise([z]), N, None, options), x)


def _pairs() -> float:
    """Lines of pairs: (1 - t) T + t z is asked for z - T; every tenth goes without its class."""
    model = Reflow(PLANE, NET, pairs=1, shares=(0.5, 0.5))
    classes = DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0, condition=Classes(3))
    with_classes = Reflow(classes, NET, pairs=1, shares=(0.5, 0.5))
    (z,) = _noise(0)
    found = with_classes.pair_conditions(Condition(torch.arange(21) % 3), torch.arange(21))
    assert found is not None
    assert found.ids is not None
    found = torch.where(found.present, found.ids, 3)
    exact = torch.tensor([3 if i % 10 == 0 else i % 3 for i in range(21)])
    fine = 0.999 * z
    for t, s in zip(_even(16)[:-1], _even(16)[1:], strict=True):
        slope = NET(fine, _rows(t), None)
        # Heun's rule but for the last step, which is the denoised state.
        after = NET(fine + (s - t) * slope, _rows(s), None) if s else slope
        fine = fine + (s - t) / 2 * (slope + after)
    return largest(gap(found, exact), gap(model.carried(z, None), fine))


def _even(steps: int) -> list[float]:
    return [0.999 * (steps - i) / steps for i in range(steps + 1)]


def _network() -> float:
    """Networks are told time, span and class by sums of their embeddings."""
    torch.manual_seed(seed(9))
    classes = DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0, condition=Classes(3))
    options, worst = NetworkOptions(width=4, features=6), 0.0
    (x,), t, ids = _noise(0), torch.tensor([0.1, 0.5, 0.9, 1.0]), torch.tensor([0, 2, 1, 0])
    ids = Condition(ids, given=torch.arange(4) < 3)
    for network, highest in (
        (ConditionedNetwork(classes, options), 200.0),
        (SpanNetwork(classes, options), 16.0),
    ):
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.5)
        told = network.time_in(_waves(t, highest))
        span = {"span": 0.3 * t} if isinstance(network, SpanNetwork) else {}
        if isinstance(network, SpanNetwork):
            told = told + network.span_in(_waves(0.3 * t, highest))
        condition = network.time_out(silu(told)) + network.classes.vector(ids, N)
        worst = largest(worst, gap(network(x, t, ids, **span), network.body(x, condition)))
    return worst


def _waves(t: Tensor, highest: float) -> Tensor:
    """Sines and cosines of 32 frequencies in geometric steps, of unit variance."""
    frequencies = [math.exp(math.log(highest) * i / 31) for i in range(32)]
    angles = torch.stack([frequency * t for frequency in frequencies], dim=1)
    return math.sqrt(2) * torch.cat([angles.cos(), angles.sin()], dim=1)


def _conditional(y: Tensor, level: float) -> Tensor:
    return torch.tanh(y) + 0.1 * level


def _unconditional(y: Tensor, level: float) -> Tensor:
    return 0.5 * y - 0.2 * level


def _chosen() -> float:
    """Options choose scale, projection, contrast and the times of guidance."""
    (y,), worst, path = _noise(0), 0.0, Linear()
    for rescale, by in ((0.0, "classifier-free"), (0.4, "classifier-free"), (0.0, "projected")):
        options = DiffusionOptions(
            guidance=3.0, guided_from=0.2, guided_until=0.7, rescale=rescale, guided_by=by,
            parallel=0.3,
        )  # fmt: skip
        guided = chosen(options, _unconditional, path)(_conditional)
        for level in (0.2, 0.26, 2.3, 2.4):
            data = _conditional(y, level)
            difference, exact = data - _unconditional(y, level), data
            if by == "projected":
                share = (difference * data).sum(1) / data.square().sum(1)
                difference = difference - 0.7 * share[:, None] * data
            if 0.25 <= level <= 7 / 3:
                exact = data + 2 * difference
                contrast = (data.std(1, correction=0) / exact.std(1, correction=0))[:, None]
                exact = exact * (rescale * contrast + 1 - rescale)
            worst = largest(worst, gap(guided(y, level), exact))
    return worst


def _churn() -> float:
    """Stochastic Heun takes algorithm 2 of EDM, within its levels."""
    (y, z), worst = _noise(0, 1), 0.0
    for level, churn in ((2.0, 0.2), (0.03, 0.2), (0.045, 0.2), (49.0, 0.2), (2.0, 0.0)):
        raised = level * (1 + churn) if 0.05 <= level * (1 + churn) <= 50 else level
        start = y + math.sqrt(raised**2 - level**2) * z
        lower = 0.6 * level
        slope = (start - _conditional(start, raised)) / raised
        guess = start + (lower - raised) * slope
        after = (guess - _conditional(guess, lower)) / lower
        exact = start + (lower - raised) / 2 * (slope + after)
        solver = StochasticHeun(churn)
        found, _ = solver.step(_conditional, y, level, lower, GivenNoise([z]), None)
        worst = largest(worst, gap((found, solver.needs_score), (exact, churn > 0)))
    return worst


def _clipped() -> float:
    """A grid is cut to the levels of training, with a notice where it was."""
    cases = [
        ([9.0, 3.0, 1.0, 0.1, 0.0], [5.0, 3.0, 1.0, 0.0]),
        ([5.0, 0.5, 0.0], [5.0, 0.5, 0.0]),
        ([4.0, 1.0, 0.2], [4.0, 1.0]),
        ([5.0 * (1 + 1e-12), 0.5 * (1 - 1e-12), 0.0], [5.0 * (1 + 1e-12), 0.5 * (1 - 1e-12), 0.0]),
    ]
    with warnings.catch_warnings(record=True) as notices:
        warnings.simplefilter("always")
        found = [clipped(given, 0.5, 5.0) for given, _ in cases]
    return gap((found, len(notices)), ([kept for _, kept in cases], 2))


CASES: list[Case] = [
    ("rectified flow by Euler's rule", _euler),
    ("consistency, arXiv:2303.01469 alg. 1", _consistency),
    ("MeanFlow, arXiv:2505.13447 eq. 12", _meanflow),
    ("distilled, arXiv:2209.03003 §2.2", _distilled),
    ("pairs of reflow, arXiv:2209.03003 alg. 1", _pairs),
]

LAWS: list[Law] = [
    stated("guidance/chosen", 1e-12, _chosen, "definition"),
    stated("diffusion/churn", 1e-12, _churn, "definition"),
    stated("diffusion/clipped", 0.0, _clipped, "enumeration"),
    law_of_cases(
        "diffusion/draws",
        "samples of given noise are those of the sources' algorithms, step by step",
        1e-9,
        lambda: CASES,
        oracle="definition",
    ),
    stated("diffusion/network", 1e-12, _network, "definition"),
]
