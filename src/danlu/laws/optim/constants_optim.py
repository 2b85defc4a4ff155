"""Constants of optimisers, schedules and averages, beside the numbers that their sources print."""

import torch
from torch import nn

from danlu.laws.constants import golden_law
from danlu.laws.law import Law
from danlu.optim import NamedParameter, OptimizerOptions, PowerAverage, Rule
from danlu.optim.amos import SMALLEST, Amos
from danlu.optim.scaled import first_distance
from danlu.optim.scales import scale_of
from danlu.optim.schedules import FIRST, HALVED


def _amos_defaults() -> list[float]:
    group = Amos([nn.Parameter(torch.ones(2))], 1e-3, 1.0).param_groups[0]
    return [group[name] for name in ("beta", "rate_decay", "decay_decay", "momentum")]


def _scale(module_type: type[nn.Module], name: str, *shape: int) -> float:
    parameter = nn.Parameter(torch.empty(shape))
    return scale_of(NamedParameter(f"layer.{name}", module_type, name, parameter))


SCALES = golden_law(
    "optim/constants-scales",
    "Amos expects of every kind of tensor the size that its paper gives",
    [
        ("scale of a norm: 1", lambda: _scale(nn.LayerNorm, "weight", 8), 1.0),
        ("shift of a norm: 1/2", lambda: _scale(nn.LayerNorm, "bias", 8), 0.5),
        ("bias: 1/2", lambda: _scale(nn.Linear, "bias", 8), 0.5),
        ("embedding of 8: sqrt(2/8)", lambda: _scale(nn.Embedding, "weight", 100, 8), 0.5),
        ("bag of embeddings of 8", lambda: _scale(nn.EmbeddingBag, "weight", 100, 8), 0.5),
        ("scale of groups: 1", lambda: _scale(nn.GroupNorm, "weight", 8), 1.0),
        ("scale of a root mean square: 1", lambda: _scale(nn.RMSNorm, "weight", 8), 1.0),
        ("shift of a batch norm: 1/2", lambda: _scale(nn.BatchNorm2d, "bias", 8), 0.5),
        ("bilinear kernel from 4 x 4", lambda: _scale(nn.Bilinear, "weight", 5, 4, 4), 0.25),
        (
            "projections of attention from 16: sqrt(1/16)",
            lambda: _scale(nn.MultiheadAttention, "in_proj_weight", 48, 16),
            0.25,
        ),
        (
            "their biases: 1/2",
            lambda: _scale(nn.MultiheadAttention, "in_proj_bias", 48),
            0.5,
        ),
        ("bias of a recurrence: 1/2", lambda: _scale(nn.GRU, "bias_ih_l0", 24), 0.5),
        ("linear kernel from 16: sqrt(1/16)", lambda: _scale(nn.Linear, "weight", 5, 16), 0.25),
        (
            "3 x 3 convolution of 8 channels: sqrt(2/72)",
            lambda: _scale(nn.Conv2d, "weight", 5, 8, 3, 3),
            1 / 6,
        ),
        (
            "transposed 3 x 3 convolution of 8 channels: sqrt(2/72)",
            lambda: _scale(nn.ConvTranspose2d, "weight", 8, 5, 3, 3),
            1 / 6,
        ),
        (
            "recurrent kernel from 8: (2 * 8)^(-1/4)",
            lambda: _scale(nn.LSTM, "weight_hh_l0", 32, 8),
            0.5,
        ),
        ("shift of a layer of one's own: 1/2", lambda: _scale(nn.Module, "my_shift", 8), 0.5),
        ("its gain: 1", lambda: _scale(nn.Module, "gain", 8), 1.0),
        ("its logarithms: 1", lambda: _scale(nn.Module, "log_rate", 8), 1.0),
    ],
)

DEFAULTS = golden_law(
    "optim/constants-defaults",
    "optimisers, schedules and averages start from the numbers of their sources",
    [
        (
            "Amos, arXiv:2210.11693 sec. 5: beta 0.999; c0 and d0 1/4; no momentum",
            _amos_defaults,
            [0.999, 0.25, 0.25, 0.0],
        ),
        ("its smallest second moment: a float32 has 1/x still", lambda: SMALLEST, 2.0**-125),
        (
            "the same by the options of a player",
            lambda: list(OptimizerOptions(name="amos").falling),
            [0.25, 0.25],
        ),
        (
            "danlu's player: rate, betas, decay and warm-up as documented",
            lambda: [
                OptimizerOptions().rate,
                *OptimizerOptions().betas,
                OptimizerOptions().weight_decay,
                OptimizerOptions().warmup,
            ],
            [1e-3, 0.9, 0.99, 0.01, 0.02],
        ),
        (
            "power averages, arXiv:2312.02696 sec. 3.1: gamma 6.94 is a tenth of the run",
            lambda: PowerAverage([]).gamma,
            6.94,
        ),
        ("a rule changes nothing by itself", lambda: Rule().rate, 1.0),
        ("warm-ups begin at a tenth of the rate", lambda: FIRST, 0.1),
        ("inverse schedules are halved after a tenth of the budget", lambda: HALVED, 0.1),
        (
            "kexue.fm/archives/9344: a vector of 16 is sqrt(16)/2 from its end",
            lambda: first_distance(nn.Parameter(torch.zeros(16))),
            2.0,
        ),
    ],
)


LAWS: list[Law] = [SCALES, DEFAULTS]
