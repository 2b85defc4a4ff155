"""Likelihoods of whole diffusion models: exact networks, and the same by hand, pass by pass."""

import math

import torch
from torch import Tensor

from danlu.contracts import DataDescription
from danlu.generative.diffusion.analytic import GaussianDenoiser
from danlu.generative.diffusion.bound import ReverseChain
from danlu.generative.diffusion.grids import linspace
from danlu.generative.diffusion.likelihood import flow, gaussian_log_density, hutchinson
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.parts import Parts
from danlu.generative.diffusion.pointwise import pointwise
from danlu.laws.draws import generator
from danlu.laws.gaps import gap
from danlu.laws.generative.diffusion.diffusion_losses import NET, PLANE
from danlu.laws.generative.diffusion.diffusion_parts import ExactNetwork
from danlu.laws.generative.diffusion.test_bed import item_noise
from danlu.laws.law import Case, Law, law_of_cases, stated

LEVELS = DataDescription(shape=(2,), levels=5, low=-1.0, high=1.0)
N = 4


def _exact() -> list[Case]:
    """Models of Gaussian data give its density, but for the ends of the path."""
    mean, root = torch.tensor([0.3, -0.2]), torch.tensor([[0.6, 0.0], [0.3, 0.5]])
    law = torch.distributions.MultivariateNormal(mean, root @ root.T)
    # What the ends of the path leave out grows as a square of the distance: no point is far out.
    x = mean + torch.randn(N, 2, generator=generator()).clamp(-2, 2) @ root.T
    options = DiffusionOptions(trace="exact", likelihood_steps=32)

    def error(path: str, prediction: str) -> float:
        parts = Parts(path=path, prediction=prediction)
        network = ExactNetwork(GaussianDenoiser(mean, root @ root.T), parts, error=0.0)
        found = DiffusionModel(PLANE, network, parts).evidence(x, item_noise(N), None, options)
        return gap(found.value, law.log_prob(x))

    kinds = (("linear", "velocity"), ("edm", "data"), ("trigonometric", "v"))
    return [(f"{path}, {kind}", lambda kind=(path, kind): error(*kind)) for path, kind in kinds]


def _passes(likelihood: str) -> float:
    """Means over passes of rounding and value, their error, and what was spent."""
    model = DiffusionModel(LEVELS, NET, Parts())
    options = DiffusionOptions(
        likelihood=likelihood, draws=3, probes=2, likelihood_steps=4, chain=9, terms=5
    )
    x = torch.randint(5, (N, 2), generator=generator()) * 0.5 - 1.0
    found = model.evidence(x, item_noise(N), None, options)
    noise, values, cost = item_noise(N), [], 0
    for _ in range(3):
        value, spent = _one(model, x, noise, likelihood)
        values.append(value)
        cost += spent
    rows = torch.stack(values)
    exact = (rows.mean(0), rows.std(0) / math.sqrt(3), cost)
    return gap((found.value, found.stderr, found.evaluations), exact)


def _one(model: DiffusionModel, x: Tensor, noise: object, likelihood: str) -> tuple[Tensor, int]:
    def denoise(y: Tensor, level: Tensor) -> Tensor:
        t = level / (1 + level)
        state = (1 - t)[:, None] * y
        return state - t[:, None] * NET(state, t, None)

    lowest, highest = 0.001 / 0.999, 0.999 / 0.001
    if likelihood == "bound":
        levels = linspace(model.path, 9, lowest, highest)
        value = ReverseChain(levels[-2::-1]).bound(denoise, x, noise, LEVELS, 5)  # type: ignore[arg-type]
        return value.detach(), 6
    moved = x + 0.5 * (noise.uniform(2) - 0.5)  # type: ignore[attr-defined]
    rounding = 2 * math.log(0.5)
    if likelihood == "pointwise":
        value = pointwise(denoise, moved, noise, (lowest, highest), 5)  # type: ignore[arg-type]
        return (rounding + value).detach(), 5
    times = [0.001 + 0.998 * (1 - math.cos(math.pi * i / 4)) / 2 for i in range(5)]
    divergence = hutchinson(noise, 2, (2,))  # type: ignore[arg-type]
    flowed = flow(lambda y, t: NET(y, torch.full((N,), t), None), moved, times, divergence)
    prior = gaussian_log_density(flowed.end, 0.999)
    return (rounding + flowed.volume.mean(0) + prior).detach(), flowed.evaluations


LAWS: list[Law] = [
    stated("diffusion/exact likelihoods", 2e-2, _exact, "closed form"),
    law_of_cases(
        "diffusion/passes",
        "likelihoods of discrete data are means over passes with their error and cost",
        1e-9,
        lambda: [
            (name, lambda name=name: _passes(name)) for name in ("flow", "bound", "pointwise")
        ],
        oracle="definition",
    ),
]
