"""Pointwise likelihoods term by term, and what a model without a score refuses."""

import math

import torch
from torch import Tensor

from danlu.contracts import DanluError
from danlu.contracts.recorded_noise import GivenNoise
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.parts import Parts
from danlu.generative.diffusion.pointwise import gain, pointwise
from danlu.laws.draws import generator
from danlu.laws.gaps import gap
from danlu.laws.generative.diffusion.diffusion_losses import NET, PLANE
from danlu.laws.generative.diffusion.test_bed import item_noise
from danlu.laws.law import Law, stated


def _gain() -> float:
    """The integrand of I-MMSE and its sum over drawn levels, term by term."""
    x, z = (torch.randn(5, 2, generator=generator(i)) for i in range(2))
    level = torch.tensor([0.1, 0.5, 1.0, 3.0, 9.0])

    def denoise(y: Tensor, sigma: Tensor) -> Tensor:
        return torch.tanh(y) / (1 + sigma[:, None])

    exact = []
    for row in range(5):
        s = level[row].item()
        error = (x[row] - torch.tanh(x[row] + s * z[row]) / (1 + s)).square().sum()
        control = (z[row].square().sum() - 2) / (1 + s**2) ** 2
        exact.append(2 / (1 + s**2) - error / s**2 + control)
    found = gain(denoise, x, level, GivenNoise([z]))
    # Two levels, each in its half of the logarithm.
    u = [torch.full((5, 1), 0.3), torch.full((5, 1), 0.8)]
    given = GivenNoise([u[0], z, u[1], x])
    whole = pointwise(denoise, x, given, (0.1, 10.0), 2)
    width = math.log(100) / 2
    places = [math.exp(math.log(0.1) + (k + share) * width) for k, share in ((0, 0.3), (1, 0.8))]
    parts = [
        gain(denoise, x, torch.full((5,), place), GivenNoise([noise]))
        for place, noise in zip(places, (z, x), strict=True)
    ]
    total = -math.log(2 * math.pi * math.e) + width * (parts[0] + parts[1])
    return gap((found, whole), (torch.stack(exact), total))


def _refused() -> float:
    """Without a score bounds and pointwise values are refused, and the flow's is not."""
    wrong, x = 0, torch.zeros(2, 2)
    for coupling, likelihood in (
        ("optimal", "bound"),
        ("optimal", "flow"),
        ("optimal", "pointwise"),
    ):
        model = DiffusionModel(PLANE, NET, Parts(coupling=coupling))
        options = DiffusionOptions(likelihood=likelihood, chain=2, terms=1, likelihood_steps=1)
        try:
            model.evidence(x, item_noise(2), None, options)
            wrong += likelihood != "flow"
        except DanluError:
            wrong += likelihood == "flow"
    return float(wrong)


LAWS: list[Law] = [
    stated("diffusion/pointwise definition", 1e-10, _gain, "definition"),
    stated("diffusion/refusals", 0.0, _refused, "contract"),
]
