"""Constants of sampling and of models of few steps, beside the numbers of their sources."""

import math
from inspect import signature
from itertools import pairwise

import torch
from torch import Tensor, nn
from typing_extensions import override

from danlu.conditioning.classes import ClassEmbedding
from danlu.contracts import DataDescription
from danlu.contracts.noise import BatchNoise
from danlu.generative.diffusion import consistency, couplings, meanflow
from danlu.generative.diffusion.adaptive import adaptive
from danlu.generative.diffusion.consistency import Consistency, ConsistencyOptions, pseudo_huber
from danlu.generative.diffusion.ddpm import DDPMOptions
from danlu.generative.diffusion.edm import EDMOptions
from danlu.generative.diffusion.guidance.rescaled import Rescaled
from danlu.generative.diffusion.improved_ddpm import ImprovedDDPMOptions
from danlu.generative.diffusion.meanflow import MeanFlow, MeanFlowOptions
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.paths import Path
from danlu.generative.diffusion.predictions import DATA_STD, SINGULAR
from danlu.generative.diffusion.reflow import FINE, ReflowOptions
from danlu.generative.diffusion.score_sde import ScoreSDEOptions
from danlu.generative.diffusion.solvers.ancestral import Ancestral
from danlu.generative.diffusion.solvers.ddim import DDIM
from danlu.generative.diffusion.solvers.linear_multistep import SLOPES
from danlu.generative.diffusion.solvers.predictor_corrector import PredictorCorrector
from danlu.generative.diffusion.solvers.stochastic_heun import (
    CHURN_FROM,
    CHURN_TO,
    LARGEST_CHURN,
    StochasticHeun,
)
from danlu.generative.diffusion.solvers.unipc import UniPC
from danlu.generative.diffusion.straightness import straightness
from danlu.laws.constants import QUANTILES, doubles, golden_law
from danlu.laws.law import Law

PLANE = DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0)


class _Fixed(nn.Module):
    """A network that says the same of everything."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = ClassEmbedding(0, 1)

    def forward(self, x: Tensor, label: Tensor, condition: object) -> Tensor:
        """Its input in the first number, its label in the second."""
        return torch.stack([x[:, 0], label], dim=1)


def _consistency_map() -> Tensor:
    model = Consistency(PLANE, _Fixed(), fine=1280)
    return model.data(doubles(3.0, 4.0)[None], doubles(5.0), None)


def _consistency_levels() -> list[float]:
    """The drawn levels just around the edges of the source's law, over those that it has."""
    levels = _karras_by_hand(11)[::-1]
    cumulative = [math.erf((math.log(level) + 1.1) / (math.sqrt(2) * 2.0)) for level in levels]
    edges = [(edge - cumulative[0]) / (cumulative[-1] - cumulative[0]) for edge in cumulative]
    around = [edge + side for edge in edges[1:-1] for side in (-1e-9, 1e-9)]
    model = Consistency(PLANE, _Fixed(), fine=1280)
    lower, _ = model.neighbours(doubles(*around), 0.0)
    expected = [level for pair in pairwise(levels[:-1]) for level in pair]
    return (lower / doubles(*expected)).tolist()


def _karras_by_hand(count: int) -> list[float]:
    first, last = 80.0 ** (1 / 7), 0.002 ** (1 / 7)
    return [(first + i / (count - 1) * (last - first)) ** 7 for i in range(count)]


class _Drawn(BatchNoise):
    """Draws that are given, in their order."""

    def __init__(self, *rows: Tensor) -> None:
        super().__init__(len(rows[0]))
        self.rows = iter(rows)

    @override
    def stratified(self) -> Tensor:
        return next(self.rows)


def _meanflow_times() -> tuple[Tensor, Tensor]:
    model = MeanFlow(PLANE, _Fixed())
    first, second = QUANTILES[[2, 2]], QUANTILES[[1, 1]]
    drawn = _Drawn(first, second, doubles(0.7499, 0.7501))
    return model.times_and_spans(drawn)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _documented() -> list[float]:
    made = DiffusionOptions()
    return [
        *(made.evaluations, made.guidance, made.guided_from, made.guided_until, made.rescale),
        *(made.parallel, made.eta, made.churn, made.probes, made.draws),
        *(made.likelihood_steps, made.chain, made.terms),
    ]


def _rescaled_share() -> float:
    return signature(Rescaled).parameters["share"].default


FEW_STEPS = golden_law(
    "diffusion/constants-few-steps",
    "consistency models and MeanFlow have the scalings, draws and weights of their sources",
    [
        (
            "consistency, arXiv:2303.01469 eq. 5 at level 5: skip, out and label",
            _consistency_map,
            doubles(
                3 * 0.25 / (4.998**2 + 0.25) + 0.5 * 4.998 / 25.25 * 3,
                4 * 0.25 / (4.998**2 + 0.25) + 0.5 * 4.998 / math.sqrt(25.25) * math.log(5.0) / 4,
            )[None],
        ),
        (
            "arXiv:2310.14189 §3.5: levels drawn with P_mean = -1.1, P_std = 2",
            _consistency_levels,
            [1.0] * 18,
        ),
        (
            "arXiv:2310.14189 §3.3: c = 0.00054 sqrt(d), here d = 4 and a distance of 3",
            lambda: pseudo_huber(torch.zeros(1, 4), torch.full((1, 4), 1.5)),
            doubles(math.sqrt(9 + 0.00108**2) - 0.00108),
        ),
        ("arXiv:2310.14189 §3.4: s_0 = 10 steps at first", lambda: consistency.COARSE, 10),
        (
            "MeanFlow, arXiv:2505.13447 tab. 1: logit N(-0.4, 1), three in four rows alike",
            _meanflow_times,
            (
                doubles(_sigmoid(0.6), _sigmoid(0.6)),
                doubles(0.0, _sigmoid(0.6) - _sigmoid(-0.4)),
            ),
        ),
        ("MeanFlow, arXiv:2505.13447 app. A: c", lambda: meanflow.OFFSET, 1e-3),
        ("MeanFlow, arXiv:2505.13447 tab. 1e: p", lambda: MeanFlow(PLANE, _Fixed()).power, 1.0),
    ],
    tolerance=1e-9,
)

SAMPLING = golden_law(
    "diffusion/constants-sampling",
    "solvers, guidance and evaluations have the defaults of their sources",
    [
        (
            "EDM, arXiv:2206.00364 alg. 2 and tab. 5: largest churn, S_tmin, S_tmax",
            lambda: [LARGEST_CHURN, CHURN_FROM, CHURN_TO],
            [math.sqrt(2) - 1, 0.05, 50.0],
        ),
        (
            "correctors, arXiv:2011.13456 app. G: r = 0.16, in steps of 2 r^2",
            lambda: PredictorCorrector().size,
            2 * 0.16**2,
        ),
        (
            "rescaled guidance, arXiv:2305.08891 §3.4: phi = 0.7",
            _rescaled_share,
            0.7,
        ),
        ("EDM, arXiv:2206.00364 §3: evaluations", lambda: EDMOptions().evaluations, 35),
        ("DDPM, arXiv:2006.11239 §4: T", lambda: DDPMOptions().evaluations, 1000),
        ("improved DDPM", lambda: ImprovedDDPMOptions().evaluations, 1000),
        (
            "score SDE, arXiv:2011.13456 app. D: 1000 steps, each corrected",
            lambda: ScoreSDEOptions().evaluations,
            2000,
        ),
        (
            "few steps: consistency 2, MeanFlow 2, reflow 4, its pairs 31",
            lambda: [
                ConsistencyOptions().evaluations,
                MeanFlowOptions().evaluations,
                ReflowOptions().evaluations,
                FINE.evaluations,
            ],
            [2, 2, 4, 31],
        ),
        (
            "options as documented: evaluations, guidance and its times, shares, probes and draws",
            _documented,
            [15, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 2, 2, 16, 1000, 16],
        ),
        (
            "adaptive steps, arXiv:2011.13456 app. D: tolerance 1e-5",
            lambda: signature(adaptive).parameters["tolerance"].default,
            1e-5,
        ),
        (
            "solvers as documented: no churn, no noise of DDIM, small variances, two states",
            lambda: [
                DDIM().eta,
                StochasticHeun().churn,
                Ancestral().variance == "small",
                UniPC().states,
                SLOPES,
            ],
            [0.0, 0.0, True, 2, 3],
        ),
        (
            "MeanFlow, arXiv:2505.13447 tab. 1a: a quarter of the rows has two times; no guidance",
            lambda: [MeanFlow(PLANE, _Fixed()).same, MeanFlow(PLANE, _Fixed()).guidance],
            [0.75, 1.0],
        ),
        (
            "times of training and edm's deviation: from a thousandth to all but one",
            lambda: [Path.earliest, Path.latest, DATA_STD, SINGULAR],
            [1e-3, 0.999, 0.5, 1e-12],
        ),
        (
            "straightness by 64 steps from time 1",
            lambda: [
                signature(straightness).parameters["start"].default,
                signature(straightness).parameters["steps"].default,
            ],
            [1.0, 64],
        ),
        (
            "couplings: entropy, margins, deviation of bridges and their least spread",
            lambda: [
                couplings.SHARPNESS,
                couplings.MARGIN_ERROR,
                couplings.BRIDGE,
                couplings.SHORTEST,
                couplings.Schrodinger.bridge,
            ],
            [0.05, 1e-9, 0.5, 1e-4, 0.5],
        ),
    ],
)


LAWS: list[Law] = [FEW_STEPS, SAMPLING]
