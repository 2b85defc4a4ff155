"""Losses of diffusion models against the formulas of their sources, written apart."""

import math

import torch
from torch import Tensor, nn

from danlu.conditioning.classes import ClassEmbedding
from danlu.contracts import Batch, DataDescription, Progress
from danlu.contracts.noise import BatchNoise
from danlu.generative.diffusion import ddpm, edm, improved_ddpm, score_sde
from danlu.generative.diffusion.consistency import Consistency
from danlu.generative.diffusion.meanflow import MeanFlow
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.diffusion.parts import Parts
from danlu.laws.draws import generator, seed
from danlu.laws.gaps import gap
from danlu.laws.law import Case, Law, stated

PLANE = DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0)
START = Progress(step=0, fraction=0.0, seed=0)
N = 6


class _Bent(nn.Module):
    """A fixed function of state and label, and of a span where there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = ClassEmbedding(0, 1)

    def forward(
        self, x: Tensor, label: Tensor, condition: object, span: Tensor | None = None
    ) -> Tensor:
        """Two numbers for each row."""
        wave = torch.sin(1.5 * x + label[:, None]) + 0.3 * x.flip(1)
        return wave if span is None else wave * (1 + span[:, None])


NET = _Bent()


def _drawn() -> tuple[Tensor, Tensor]:
    return torch.randn(N, 2, generator=generator()), torch.randn(N, 2, generator=generator(1))


def _rectified(x: Tensor, noise: Tensor) -> float:
    r"""$\|v(x_t, t) - (\varepsilon - x_0)\|^2$ on straight lines."""
    t = torch.linspace(0.05, 0.95, N)
    found = DiffusionModel(PLANE, NET, Parts()).errors(x, noise, t, None)
    state = (1 - t)[:, None] * x + t[:, None] * noise
    return gap(found, {"velocity": (NET(state, t, None) - (noise - x)).square().mean()})


def _ddpm(x: Tensor, noise: Tensor) -> float:
    r"""$\|\varepsilon - \varepsilon_\theta(x_i, i)\|^2$ with the table's products."""
    steps = torch.tensor([1, 7, 100, 480, 900, 1000])
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)[steps - 1, None]
    state = kept.sqrt() * x + (1 - kept).sqrt() * noise
    found = DiffusionModel(PLANE, NET, ddpm.PARTS).errors(x, noise, steps / 1000, None)
    return gap(found, {"noise": (NET(state, steps / 1000, None) - noise).square().mean()})


def _edm(x: Tensor, noise: Tensor) -> float:
    r"""$\lambda\|D - x_0\|^2$ with the scalings of table 1 and data of deviation 1/2."""
    level = torch.tensor([0.003, 0.05, 0.4, 2.0, 20.0, 79.0])[:, None]
    y, total = x + level * noise, level**2 + 0.25
    value = NET(y / total.sqrt(), level[:, 0].log() / 4, None)
    data = 0.25 / total * y + 0.5 * level / total.sqrt() * value
    expected = (total / (0.5 * level) ** 2 * (data - x).square()).mean()
    found = DiffusionModel(PLANE, NET, edm.PARTS).errors(x, noise, level[:, 0] / 80, None)
    return gap(found, {"edm": expected})


def _exploding(x: Tensor, noise: Tensor) -> float:
    r"""$\|\varepsilon_\theta - \varepsilon\|^2$, the input at unit size, levels 0.01 to 50."""
    parts = score_sde.build(PLANE).parts
    t = torch.linspace(0.1, 0.9, N)
    level = 0.01 * 5000 ** t[:, None]
    size = (0.25 + level**2).sqrt()
    unit = torch.ones(())  # noise has the deviation 1 whatever the level
    value = unit * NET((x + level * noise) / size, level[:, 0].log() / 4, None)
    found = DiffusionModel(PLANE, NET, parts).errors(x, noise, t, None)
    return gap(found, {"noise": (value - noise).square().mean()})


def _whole() -> float:
    """The loss is that of times and noise that are drawn by the parts, one for each row."""
    x, _ = _drawn()
    model = DiffusionModel(PLANE, NET, Parts(times="uniform"))
    torch.manual_seed(seed(3))
    found = model.loss(Batch(x, None, torch.arange(N)), "model", START)
    torch.manual_seed(seed(3))
    draws = BatchNoise(N, dtype=x.dtype)
    t = draws.stratified().clamp(1e-3, 1 - 1e-3)
    return gap(found.total, model.errors(x, draws.normal(2), t, None)["velocity"])


def _meanflow(x: Tensor, _: Tensor) -> float:
    r"""$\|\Delta\|^2 / (\|\Delta\|^2 + 10^{-3})$ with the target of equation 10."""
    model = MeanFlow(PLANE, NET)
    torch.manual_seed(seed(4))
    found = model.loss(Batch(x, None, torch.arange(N)), "model", START)
    torch.manual_seed(seed(4))
    draws = BatchNoise(N, dtype=x.dtype)
    t, span = model.times_and_spans(draws)
    noise = draws.normal(2)
    z = (1 - t)[:, None] * x + t[:, None] * noise
    value, target = model.value_and_target(z, t, span, noise - x, None)
    error = (value - target).square().mean(1)
    return gap(found.total, (error / (error.detach() + 1e-3)).mean())


def _consistency(x: Tensor, _: Tensor) -> float:
    r"""$d(f(x_0 + \sigma_{i+1} z), f(x_0 + \sigma_i z)) / (\sigma_{i+1} - \sigma_i)$."""
    model = Consistency(PLANE, NET, fine=1280)
    torch.manual_seed(seed(5))
    found = model.loss(Batch(x, None, torch.arange(N)), "model", START)
    torch.manual_seed(seed(5))
    draws = BatchNoise(N, dtype=x.dtype)
    lower, upper = model.neighbours(draws.stratified(), 0.0)
    noise = draws.normal(2)
    a, b = (model.data(x + level[:, None] * noise, level, None) for level in (upper, lower))
    c = 0.00054 * math.sqrt(2)
    distance = ((a - b).square().sum(1) + c**2).sqrt() - c
    return gap(found.total, (distance / (upper - lower)).mean())


def _doublings() -> float:
    """10, 20, ..., 1280 steps, each for an eighth of the training (arXiv:2310.14189 eq. 7)."""
    model = Consistency(PLANE, NET, fine=1280)
    found = [model.steps((k + half) / 8) for k in range(8) for half in (0.01, 0.99)]
    return gap(found, [10 * 2**k for k in range(8) for _ in range(2)])


def _improved(x: Tensor, noise: Tensor) -> float:
    """The simple loss stands beside a thousandth of the bound."""
    model = improved_ddpm.build(PLANE)
    torch.manual_seed(seed(6))
    t = torch.arange(1, N + 1) / 1000
    found = model.errors(x, noise, t, None)
    point = model.path.points(t).like(x)
    state = point.alpha * x + point.sigma * noise
    value, _ = model.halves(state, t, None)
    return gap(found["noise"], (value - noise).square().mean())


def _cases() -> list[Case]:
    """The losses of the families are the formulas of their sources."""
    x, noise = _drawn()
    losses = {
        "rectified flow, arXiv:2209.03003 eq. 1": _rectified,
        "DDPM, arXiv:2006.11239 eq. 14": _ddpm,
        "EDM, arXiv:2206.00364 tab. 1": _edm,
        "score SDE, arXiv:2011.13456 eq. 7": _exploding,
        "improved DDPM, arXiv:2102.09672 eq. 16": _improved,
        "MeanFlow, arXiv:2505.13447 eq. 10 and 22": _meanflow,
        "consistency, arXiv:2310.14189 eq. 6": _consistency,
    }
    rows: list[Case] = [(about, lambda loss=loss: loss(x, noise)) for about, loss in losses.items()]
    return [*rows, ("the draws of a loss", _whole), ("steps of consistency", _doublings)]


LAWS: list[Law] = [
    stated("diffusion/losses", 1e-9, _cases, "definition"),
]
