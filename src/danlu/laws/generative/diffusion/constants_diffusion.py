"""Constants of diffusion models, beside the numbers that their sources print."""

import math
from typing import Any

import torch
from torch import Tensor

from danlu.contracts import DataDescription
from danlu.generative.diffusion.beta_paths import CosineBeta, LinearBeta
from danlu.generative.diffusion.discrete import (
    Discrete,
    cosine_betas,
    linear_betas,
    scaled_linear_betas,
)
from danlu.generative.diffusion.grids import (
    karras,
    leading,
    linspace,
    quadratic,
    shifted,
    uniform,
)
from danlu.generative.diffusion.grids import logarithmic as even_logarithms
from danlu.generative.diffusion.improved_ddpm import BOUND_WEIGHT
from danlu.generative.diffusion.model import LABEL_DROP
from danlu.generative.diffusion.networks import proportioned
from danlu.generative.diffusion.paths import EDM, Linear, Point, VarianceExploding
from danlu.generative.diffusion.preconditioners import edm as edm_inputs
from danlu.generative.diffusion.preconditioners import logarithmic
from danlu.generative.diffusion.time_samplers import log_normal, logit_normal, steps
from danlu.generative.diffusion.weightings import edm, min_snr, p2
from danlu.generative.tiny import TINY as IMAGE
from danlu.laws.constants import DEVIATIONS, QUANTILES, doubles, golden_law
from danlu.laws.law import Law

PLANE = DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0)


def _kept(betas: Tensor, *steps: int) -> Tensor:
    """The logarithm of the share of the variance that is left after some steps."""
    return torch.log1p(-betas).cumsum(0)[[step - 1 for step in steps]]


def _at_level(level: float) -> Point[Tensor]:
    one = doubles(1.0)
    return Point(one, level * one, 0 * one, one)


def _times(grid: Any, steps: int) -> list[float]:
    path = Linear()
    levels = grid(path, steps, *path.levels())
    return [path.time(level) for level in levels]


SHIFTED = [3 * t / (1 + 2 * t) for t in (1.0, 0.8, 0.6, 0.4, 0.2)]

TABLES = golden_law(
    "diffusion/constants-tables",
    "tables of shares forget what diffusers' DDPMScheduler of the same name forgets",
    [
        (
            "linear, arXiv:2006.11239 §4: first and last share",
            lambda: linear_betas()[[0, 999]],
            doubles(1e-4, 0.02),
        ),
        (
            "linear: logarithm of what is left after 1, 500 and 1000 steps",
            lambda: _kept(linear_betas(), 1, 500, 1000),
            doubles(0.9999, 0.078587234, 4.03583035e-5).log(),
        ),
        (
            "scaled-linear, arXiv:2112.10752 app. E",
            lambda: _kept(scaled_linear_betas(), 1, 500, 1000),
            doubles(0.99915, 0.277669429, 0.0046600951).log(),
        ),
        (
            "cosine, arXiv:2102.09672 eq. 17: s = 0.008, at most 0.999",
            lambda: _kept(cosine_betas(), 1, 500, 999, 1000),
            doubles(0.9999587157, 0.4938434660, 2.42876627e-6, 2.4287349e-9).log(),
        ),
        ("cosine: last share", lambda: cosine_betas()[-1], 0.999),
        ("steps of each", lambda: [len(linear_betas()), len(cosine_betas())], [1000, 1000]),
    ],
    tolerance=2e-5,
)

PATHS = golden_law(
    "diffusion/constants-paths",
    "continuous paths have the ends of their sources",
    [
        (
            "vp-linear, arXiv:2011.13456 app. C: beta from 0.1 to 20",
            lambda: LinearBeta().beta(doubles(0.0, 1.0)),
            doubles(0.1, 20.0),
        ),
        (
            "vp-cosine, arXiv:2102.09672 eq. 17: the signal at half time",
            lambda: CosineBeta().coefficients(doubles(0.5))[0].square(),
            doubles(
                math.cos(math.pi / 2 * 0.508 / 1.008) ** 2
                / math.cos(math.pi / 2 * 0.008 / 1.008) ** 2
            ),
        ),
        (
            "variance-exploding, arXiv:2011.13456 app. C: levels from 0.01 to 50",
            lambda: list(VarianceExploding().levels()),
            [0.01, 50.0],
        ),
        ("edm, arXiv:2206.00364 tab. 1: levels", lambda: list(EDM().levels()), [0.002, 80.0]),
    ],
)

GRIDS = golden_law(
    "diffusion/constants-grids",
    "grids visit the levels of diffusers' schedulers, or those that their source's formula gives",
    [
        (
            "karras, rho = 7, as of EDMEulerScheduler(0.002, 80) with 8 steps",
            lambda: karras(EDM(), 8, 0.002, 80.0),
            [80.0, 34.9921875, 13.698575, 4.637075, 1.2866143, 0.2674754, 0.0351867, 0.002, 0.0],
        ),
        (
            "shifted, arXiv:2403.03206 eq. 23 with a shift of 3",
            lambda: _times(shifted, 5),
            [*(0.999 * t for t in SHIFTED), 0.0],
        ),
        ("uniform", lambda: _times(uniform, 3), [0.999, 0.666, 0.333, 0.0]),
        ("quadratic", lambda: _times(quadratic, 3), [0.999, 0.444, 0.111, 0.0]),
        ("linspace", lambda: _times(linspace, 3), [0.999, 0.5, 0.001, 0.0]),
        (
            "leading, arXiv:2305.08891 tab. 2: steps of T/N, here from t = 0.8 to 0.1",
            lambda: leading(Linear(), 4, 1 / 9, 4.0),
            [7 / 3, 1.0, 3 / 7, 1 / 9, 0.0],
        ),
        (
            "and evenly where there is no room for them",
            lambda: leading(Linear(), 15, 1 / 9, 4.0)[::14],
            [4.0, 1 / 9],
        ),
        (
            "even in the logarithm",
            lambda: even_logarithms(EDM(), 4, 0.125, 8.0),
            [8.0, 2.0, 0.5, 0.125, 0.0],
        ),
    ],
    tolerance=5e-6,
)

TRAINING = golden_law(
    "diffusion/constants-training",
    "levels are drawn, labelled, scaled and weighted by the numbers of the sources",
    [
        (
            "EDM, arXiv:2206.00364 tab. 1: log level N(-1.2, 1.2^2)",
            lambda: log_normal(QUANTILES, EDM()) * 80.0,
            (-1.2 + 1.2 * DEVIATIONS).exp(),
        ),
        (
            "DDPM, arXiv:2006.11239 alg. 1: each of the table's times as often",
            lambda: steps(doubles(0.0, 0.24, 0.26, 0.6, 0.99), Discrete(linear_betas(4))),
            doubles(0.25, 0.25, 0.5, 0.75, 1.0),
        ),
        (
            "SD3, arXiv:2403.03206 §3.1: logit of the time N(0, 1)",
            lambda: logit_normal(QUANTILES, Linear()),
            DEVIATIONS.sigmoid(),
        ),
        (
            "EDM at level 5 with sigma_data = 0.5: factor of the input and label",
            lambda: edm_inputs(_at_level(5.0), doubles(0.0)),
            (doubles(1 / math.sqrt(25.25)), doubles(math.log(5.0) / 4)),
        ),
        (
            "labels of variance-exploding networks",
            lambda: logarithmic(_at_level(5.0), doubles(0.0))[1],
            doubles(math.log(2.5)),
        ),
        ("EDM's weight at level 1", lambda: edm(_at_level(1.0), doubles(1.0)), doubles(5.0)),
        (
            "min-SNR, arXiv:2303.09556: gamma = 5",
            lambda: min_snr(_at_level(0.1), doubles(1.0)),
            doubles(5.0),
        ),
        (
            "P2, arXiv:2204.00227: k = gamma = 1",
            lambda: p2(_at_level(0.5), doubles(1.0)),
            doubles(0.8),
        ),
        (
            "DDPM, arXiv:2006.11239, its published code: an embedding four times as wide as a map",
            lambda: proportioned(IMAGE, width=16).features,
            64,
        ),
        ("improved DDPM, arXiv:2102.09672 eq. 16: lambda", lambda: BOUND_WEIGHT, 0.001),
        ("classifier-free guidance, arXiv:2207.12598 §4: p_uncond", lambda: LABEL_DROP, 0.1),
    ],
)

LAWS: list[Law] = [TABLES, PATHS, GRIDS, TRAINING]
