"""Parts of generative families: continuous flows in time, folding, choices, figures and rules."""

import math
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from danlu.contracts import DataDescription, DataKind
from danlu.generative.autoregressive import autoregressive, language
from danlu.generative.autoregressive.choosing import AutoregressiveOptions, allowed, pick
from danlu.generative.chain_options import ChainOptions, Estimator
from danlu.generative.flow.flow import FlowOptions, maker, to_the_line
from danlu.generative.masked import masked
from danlu.generative.parts.affine import Linear
from danlu.generative.parts.continuous import Continuous
from danlu.generative.parts.networks import decoder, encoder
from danlu.laws.constants import golden_law
from danlu.laws.draws import generator, seed
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.diffusion.test_bed import item_noise
from danlu.laws.law import Law, stated
from danlu.losses.likelihoods import Gaussian

IDS = DataDescription(shape=(6,), levels=4, low=0.0, high=3.0)
LINE = DataDescription(shape=(3,), levels=None, low=-1.0, high=1.0)


class _Swelling(nn.Module):
    r"""$\dot x = 3 \cos(3t)\,x$, which carries x to $x e^{\sin 3}$."""

    def forward(self, x: Tensor, t: Tensor, condition: object) -> Tensor:
        """The velocity of each row."""
        return 3 * (3 * t[:, None]).cos() * x


def _in_time() -> float:
    """A field that changes in time carries points, volumes and codes as its solution does."""
    layer, x = Continuous(_Swelling(), steps=40), torch.randn(4, 3, generator=generator())
    code, volume = layer.encode(x, None, item_noise(4))
    exact = x * math.exp(math.sin(3)), torch.full((4,), 3 * math.sin(3))
    back = layer.decode(exact[0], None, item_noise(4))
    return gap((code, volume, back), (*exact, x))


def _folded(*shape: int) -> int:
    image = DataDescription(kind=DataKind.IMAGE, shape=shape, levels=256, low=-1.0, high=1.0)
    made: Any = maker("convolutional", image, width=2, depth=1)(shape, 2)
    return made.patch


SIDES = ((8, 8), (16, 16), (28, 28), (32, 4), (16, 6), (32, 32), (15, 15))


def _choices() -> float:
    """Temperature, top-k and top-p equal sorting in Python."""
    logits, worst = torch.randn(5, 7, generator=generator()), 0.0
    settings = ((1.0, None, 1.0), (0.5, None, 1.0), (2.0, 3, 1.0), (1.0, None, 0.7), (1.0, 4, 0.6))
    for temperature, top_k, top_p in settings:
        options = AutoregressiveOptions(temperature=temperature, top_k=top_k, top_p=top_p)
        exact = torch.zeros(5, 7)
        for row in range(5):
            weights = [math.exp(value / temperature) for value in logits[row].tolist()]
            order = sorted(range(7), key=lambda i: -weights[i])[: top_k or 7]
            total, before = sum(weights[i] for i in order), 0.0
            for i in order:
                if before < top_p:
                    exact[row, i] = weights[i]
                before += weights[i] / total
        exact = exact / exact.sum(1, keepdim=True)
        worst = largest(worst, gap(allowed(logits, options), exact))
    likeliest = allowed(logits, AutoregressiveOptions(temperature=0.0)).argmax(1)
    return largest(worst, gap(likeliest, logits.argmax(1)))


def _picked() -> float:
    """Ids are picked by the inverse of the cumulative."""
    shares = torch.tensor([[0.2, 0.0, 0.5, 0.3]]).expand(6, 4).contiguous()
    u = torch.tensor([0.0, 0.19, 0.21, 0.69, 0.71, 1.0])
    return gap(pick(shares, u), torch.tensor([0, 0, 2, 2, 3, 3]))


def _figures() -> float:
    """Held-out figures are those of the loss, example by example."""
    model = language.build(IDS, dim=8, depth=1)
    x = torch.randint(4, (5, 6), generator=generator()).double()
    found = model.held_out_figures(x)["nats_per_token"]
    nats = -model.log_prob_of_ids(x.long(), None) / 6
    hidden = masked.build(IDS, dim=8, depth=1)
    figures = hidden.held_out_figures(x, seed=seed(3))
    read, place = hidden.spoiled(x.long(), item_noise(5, of=seed(3)))
    logits = hidden.logits_of(read).gather(1, place[..., None].expand(-1, -1, 4))
    wanted = x.long().gather(1, place)
    loss = -logits.log_softmax(2).gather(2, wanted[..., None])[..., 0].mean(1)
    right = (logits.argmax(2) == wanted).double().mean(1)
    pairs = figures["nats_per_masked_token"], figures["masked_accuracy"]
    return gap((found, *pairs), (nats.detach(), loss.detach(), right))


def _as_data() -> Tensor:
    levels = DataDescription(shape=(3,), levels=5, low=-1.0, high=1.0)
    model = autoregressive.build(levels, dim=8, depth=1)
    return model.data(torch.tensor([[0, 1, 4]]))


def _spread(*values: float) -> Tensor:
    """Where a flow puts values of a line of five levels from -1 to 1."""
    levels = DataDescription(shape=(1,), levels=5, low=-1.0, high=1.0)
    _, logit = to_the_line(levels, "auto")
    code, _ = logit.encode(torch.tensor(values)[:, None], None, item_noise(3))
    assert isinstance(code, Tensor)
    return code[:, 0]


CONSTANTS = golden_law(
    "generative/parts",
    "folding, draws, tables and rules are as documented",
    [
        (
            "images are folded until their longer side is at most 8",
            lambda: [_folded(1, *sides) for sides in SIDES],
            [1, 2, 4, 4, 2, 4, 1],
        ),
        (
            "likelihoods average the weights of 16 draws; flows draw at temperature 1",
            lambda: [
                ChainOptions().draws,
                ChainOptions().estimator == Estimator.IWAE,
                FlowOptions().temperature,
            ],
            [16, True, 1.0],
        ),
        (
            "ids stand for the levels of the data, from the lowest",
            _as_data,
            torch.tensor([[-1.0, -0.5, 1.0]], dtype=torch.float64),
        ),
        (
            "RealNVP, arXiv:1605.08803 §4.1: levels and half a step beyond fill 0.05 to 0.95",
            lambda: _spread(-1.25, 0.0, 1.25),
            torch.tensor([-math.log(19), 0.0, math.log(19)], dtype=torch.float64),
        ),
        (
            "one id more than there are levels is the mask",
            lambda: masked.build(IDS, dim=8, depth=1).tokens.num_embeddings,
            5,
        ),
        (
            "encoders and decoders are told nothing and give one value a number unless asked",
            lambda: [
                signature(build).parameters[name].default
                for build, name in (
                    (encoder, "features"),
                    (decoder, "features"),
                    (decoder, "values"),
                )
            ],
            [0, 0, 1],
        ),
        (
            "a rotation of 4 has entries of size 1/2, its bias too; a log-scale has 1",
            lambda: [
                Linear(4).parameter_rules()["weight"].scale,
                Linear(4).parameter_rules()["bias"].scale,
                Gaussian(LINE).parameter_rules()["log_scale"].scale,
            ],
            [0.5, 0.5, 1.0],
        ),
    ],
)

LAWS: list[Law] = [
    CONSTANTS,
    stated("continuous-flow/in time", 1e-4, _in_time, "closed form"),
    stated("autoregressive/choices", 1e-12, _choices, "definition"),
    stated("autoregressive/picked", 0.0, _picked, "enumeration"),
    stated("language/figures", 1e-6, _figures, "definition"),
]
