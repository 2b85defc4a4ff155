"""Constants of generative families and their losses, beside the numbers of their sources."""

import math
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from danlu.contracts import Batch, Classes, Condition, DataDescription, DataKind, Progress
from danlu.generative import chain
from danlu.generative.autoregressive import autoregressive
from danlu.generative.compositions import latent_flow
from danlu.generative.diffusion.distilled import build as distilled
from danlu.generative.diffusion.reflow import build as reflow
from danlu.generative.gan import gan
from danlu.generative.kernel_density import bandwidth
from danlu.generative.masked import masked
from danlu.generative.parts.actnorm import ActNorm
from danlu.generative.parts.logit import Logit
from danlu.generative.parts.squeeze import FACTOR
from danlu.generative.parts.transforms.affine import LIMIT
from danlu.generative.quantized import vq_vae
from danlu.generative.tiny import TINY_VECTOR
from danlu.generative.vae import vae
from danlu.generative.vq import vq
from danlu.laws.constants import doubles, golden_law
from danlu.laws.draws import generator, seed
from danlu.laws.gaps import gap, relative_gap
from danlu.laws.law import Case, Law, stated
from danlu.layers import codebook
from danlu.losses import DIVERGENCES
from danlu.losses.divergences import GradientPenalty, Judged, SlopePenalty
from danlu.losses.likelihoods import DiscretisedLogistic

PIXEL = DataDescription(kind=DataKind.IMAGE, shape=(1, 1, 1), levels=256, low=-1.0, high=1.0)


def _softplus(x: float) -> float:
    return math.log1p(math.exp(x))


REAL, FAKE = 0.7, -0.4
PLAYED = {
    "minimax": (_softplus(-REAL) + _softplus(FAKE), -_softplus(FAKE)),
    "non-saturating": (_softplus(-REAL) + _softplus(FAKE), _softplus(-FAKE)),
    "least-squares": (0.5 * (REAL - 1) ** 2 + 0.5 * FAKE**2, 0.5 * (FAKE - 1) ** 2),
    "hinge": ((1 - REAL) + (1 + FAKE), -FAKE),
    "wasserstein-gp": (FAKE - REAL, -FAKE),
    "relativistic": (_softplus(FAKE - REAL), _softplus(REAL - FAKE)),
}
"""Of every row what critic and generator minimise at these two logits."""


def _row(name: str) -> tuple[Tensor, Tensor]:
    row, real, fake = DIVERGENCES[name].target, _judged(doubles(REAL)), _judged(doubles(FAKE))
    return row.critic(real, fake), row.generator(real, fake)


def _judged(logit: Tensor, *seen: Tensor) -> Judged:
    return Judged(logit, seen)


def _rows() -> list[Case]:
    """Every row's losses at two logits are those of its source's formula."""
    return [
        (name, lambda name=name, each=each: gap(_row(name), tuple(map(doubles, each))))
        for name, each in PLAYED.items()
    ]


def _hinge_beyond_its_margins() -> list[float]:
    row = DIVERGENCES["hinge"].target
    return row.critic(_judged(doubles(1.5, 0.5)), _judged(doubles(-1.5, 0.5))).tolist()


def _critic_steps() -> list[int]:
    return [DIVERGENCES[name].target.critic_steps for name in PLAYED]


def _slopes() -> list[float]:
    """How much a row's constraint asks of a critic of slope 3, its weight times its rounds."""
    found = []
    for name in PLAYED:
        row, x = DIVERGENCES[name].target, doubles(0.0, 1.0)[:, None]
        both = _judged(3 * x[:, 0], x)
        penalty = row.constraint(lambda v: 3 * v[:, 0], both, both) if row.constraint else 0.0
        found.append(row.constraint_every * float(penalty))
    return found


def _actnorm() -> tuple[Tensor, Tensor]:
    layer = ActNorm((2,))
    layer.start(doubles(1.0, 5.0, 3.0, 5.0).view(2, 2))
    return layer.shift.detach(), layer.log_scale.detach()


def _start_scale() -> Tensor:
    """The scale of a discretised logistic whose network says 0, from its widest bin."""
    likelihood = DiscretisedLogistic(PIXEL)
    output = torch.zeros(1, likelihood.parameters_per_number, 1, 1)
    x = PIXEL.low + 128 * PIXEL.spacing * torch.ones(1, 1, 1, 1)
    return likelihood.log_prob(x, output)


def _logistic_bin() -> Tensor:
    """The same by the logistic's distribution function, with the scale of the docstring."""
    spacing = 2 / 255
    lowest, start = math.log(math.exp(-4) * spacing), math.log(2 / 16)
    scale = math.exp(lowest + _softplus(start - lowest))
    middle = -1 + 128 * spacing

    def below(x: float) -> float:
        return 1 / (1 + math.exp(-x / scale))

    return doubles(math.log(below(middle + spacing / 2) - below(middle - spacing / 2)))


def _game(player: str, step: int) -> float:
    """A GAN's turn against its row, with the draws of a second model of the same seed."""
    row = DIVERGENCES["non-saturating"].target
    torch.manual_seed(seed(5))
    model = gan.build(TINY_VECTOR, latent=3, width=4)
    x = torch.randn(8, *TINY_VECTOR.shape, generator=generator())
    torch.manual_seed(seed(6))
    found = model.loss(Batch(x, None, torch.arange(8)), player, Progress(step, 0.0, 0))
    torch.manual_seed(seed(6))
    fake = model.generator(torch.randn(8, 3))
    real_logit, fake_logit = model.critic(x, None), model.critic(fake, None)
    if player == "generator":
        return gap(found.total, torch.nn.functional.softplus(-fake_logit).mean())
    value = row.critic(_judged(real_logit), _judged(fake_logit)).mean()
    if step % 8 == 0:
        x = x.requires_grad_()
        (slope,) = torch.autograd.grad(model.critic(x, None).sum(), x)
        value = value + 8 * 0.05 * slope.square().flatten(1).sum(1).mean()
    return gap(found.total, value)


def _games() -> list[Case]:
    """The turns of critic and generator are the row's losses, the penalty every 8th round."""
    turns = (("critic", 0), ("critic", 3), ("critic", 8), ("generator", 0))
    return [
        (f"{player} in round {step}", lambda player=player, step=step: _game(player, step))
        for player, step in turns
    ]


def _critic_logit() -> float:
    """The critic's logit is its features' plus their mean product with the class."""
    torch.manual_seed(seed(7))
    description = DataDescription(shape=(3,), levels=None, low=-1.0, high=1.0, condition=Classes(2))
    critic = gan.Critic(description, width=4, features=5)
    with torch.no_grad():
        for weight in critic.embedding.parameters():
            weight.normal_()
    x, classes = (
        torch.randn(6, 3, generator=generator()),
        Condition(torch.tensor([0, 1, 0, 1, 1, 0])),
    )
    raw = critic.network(x, None)
    phi = torch.where(raw > 0, raw, 0.2 * raw)
    embedded = critic.embedding.vector(classes, 6)
    expected = critic.leave(phi)[:, 0] + (phi * embedded).sum(1) / 5
    return relative_gap(critic(x, classes), expected)


def _generator_range() -> float:
    """Generated images fill the range of the data."""
    torch.manual_seed(seed(8))
    description = DataDescription(
        kind=DataKind.IMAGE, shape=(1, 4, 4), levels=None, low=-2.0, high=6.0
    )
    made = gan.Generator(description, 3, width=4)
    z = torch.randn(5, 3, generator=generator())
    h = torch.cat([z, made.embedding.vector(None, 5)], dim=1)
    return gap(made(z), 2 + 4 * torch.tanh(made.network(h, h)))


def _compositions() -> list[Any]:
    latent, made = latent_flow(), vq(width=4)
    prior: Any = made.prior
    heads = next(m.heads for m in prior.stack.modules() if hasattr(m, "heads"))
    shares = [signature(build).parameters["share"].default for build in (reflow, distilled)]
    return [latent.share, made.share, prior.replaced, heads, *shares]


CONSTANTS = golden_law(
    "generative/constants",
    "families start from the numbers of their sources, or from those that they document",
    [
        (
            "BERT, arXiv:1810.04805 §3.1: 15 % hidden, of these 80 % masks and 10 % any token",
            lambda: [masked.SHARE, masked.MASKED, masked.RANDOM],
            [0.15, 0.8, 0.1],
        ),
        ("VQ-VAE, arXiv:1711.00937 §3.2: beta", lambda: vq_vae.COMMITMENT, 0.25),
        (
            "codebook as documented: memory, death below, distance of halves, rounds at the start",
            lambda: [codebook.DECAY, codebook.DEAD_BELOW, codebook.SPLIT, codebook.START_ROUNDS],
            [0.95, 0.05, 0.01, 10],
        ),
        ("codes are revived in the first half", lambda: vq_vae.REVIVE_UNTIL, 0.5),
        (
            "WGAN-GP, arXiv:1704.00028 alg. 1: five steps of the critic; others one",
            _critic_steps,
            [1, 1, 1, 1, 5, 1],
        ),
        (
            "penalties of slope 3: R1 0.1 at 8 rounds, WGAN-GP 10 (3 - 1)^2, R1 + R2",
            _slopes,
            [0.0, 8 * 0.45, 8 * 0.45, 8 * 0.45, 40.0, 8 * 0.9],
        ),
        (
            "weights: lambda of WGAN-GP",
            lambda: [GradientPenalty().weight, float(SlopePenalty(1.0).on_fake)],
            [10.0, 0.0],
        ),
        ("hinge, arXiv:1705.02894: no more beyond its margins", _hinge_beyond_its_margins, [0, 2]),
        (
            "classes are dropped at one in ten",
            lambda: [
                gan.LABEL_DROP,
                vae.LABEL_DROP,
                autoregressive.LABEL_DROP,
                chain.LABEL_DROP_EVERY,
            ],
            [0.1, 0.1, 0.1, 10],
        ),
        ("posterior's log-variance lies in ±10", lambda: vae.LOG_VARIANCE_LIMIT, 10.0),
        ("penalties of layers weigh a ten-thousandth", lambda: autoregressive.PENALTY, 1e-4),
        (
            "RealNVP, arXiv:1605.08803 §4.1: alpha = 0.05",
            lambda: Logit(0.0, 1.0).slope,
            0.9,
        ),
        ("couplings scale by e^±2; squeezes are 2 by 2", lambda: [LIMIT, FACTOR], [2.0, 2]),
        (
            "ActNorm, arXiv:1807.03039 §3.1: mean and deviation; a constant keeps its scale",
            _actnorm,
            (doubles(2.0, 5.0), doubles(0.0, 0.0)),
        ),
        (
            "bandwidths from a thousandth to twice the deviation",
            lambda: [bandwidth.NARROWEST, bandwidth.WIDEST],
            [1e-3, 2.0],
        ),
        (
            "a discretised logistic's scale is a 16th of the range at first",
            _start_scale,
            _logistic_bin(),
        ),
        (
            "shares of first stages and of replaced ids, and the prior's heads of 16",
            _compositions,
            [0.6, 0.4, 0.1, 4, 0.5, 0.4],
        ),
    ],
    tolerance=1e-6,
)

LAWS: list[Law] = [
    CONSTANTS,
    stated("gan/rows", 1e-12, _rows, "definition"),
    stated("gan/game", 1e-10, _games, "definition"),
    stated("gan/projection", 1e-12, _critic_logit, "definition"),
    stated("gan/range", 1e-12, _generator_range, "definition"),
]
