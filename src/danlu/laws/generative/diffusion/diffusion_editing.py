"""Laws of editing, with exact models of Gaussian data."""

import math
from itertools import pairwise

import torch
from torch import Tensor

from danlu.generative.diffusion.analytic import GaussianDenoiser
from danlu.generative.diffusion.editing import arc, fill, inpaint, interpolate, redraw
from danlu.generative.diffusion.grids import karras
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.parts import STRAIGHT
from danlu.generative.diffusion.paths import Linear
from danlu.generative.diffusion.solvers.ancestral import Ancestral
from danlu.laws.draws import seed
from danlu.laws.gaps import gap, largest, relative_gap
from danlu.laws.generative.diffusion.diffusion_parts import PLANE, ExactNetwork
from danlu.laws.generative.diffusion.test_bed import EachDraw, item_noise, points
from danlu.laws.law import Rows, table

STD = 0.6


def model_around(mean: Tensor) -> DiffusionModel:
    """The exact model of round Gaussian data."""
    exact = GaussianDenoiser(mean, STD**2 * torch.eye(2, dtype=torch.float64))
    return DiffusionModel(PLANE, ExactNetwork(exact, STRAIGHT, error=0.0))


def encode_is_affine() -> float:
    """Codes of Gaussian data are affine in it, in closed form, and decode inverts them."""
    mean, x = torch.tensor([0.5, -0.3]).double(), points(16, 1.0)
    model = model_around(mean)
    first, last = (model.path.at(t) for t in model.ends())
    start, end = (math.hypot(point.alpha * STD, point.sigma) for point in (first, last))
    known = last.alpha * mean + end / start * (x - first.alpha * mean)
    code = model.encode(x)
    assert isinstance(code, Tensor)
    error = gap(code, known)
    return largest(error, gap(model.decode(known), x))


def interpolation_is_an_arc() -> float:
    """Between Gaussian examples around zero lies their arc."""
    model, first = model_around(torch.zeros(2).double()), points(16)
    # Turned by known angles; near 0 and pi rounding grows by one over the sine.
    angle = torch.linspace(0.3, 2.8, 16)[:, None]
    across = first.flip(1) * torch.tensor([-1.0, 1.0])
    second = torch.linspace(0.5, 2.0, 16)[:, None] * (angle.cos() * first + angle.sin() * across)
    shares, known = (0.0, 0.3, 1.0), []
    for share in shares:
        parts = ((1 - share) * angle).sin() * first + (share * angle).sin() * second
        known.append(parts / angle.sin())
    return gap(interpolate(model, first, second, shares), torch.stack(known))


def arc_turns_evenly() -> float:
    """Arcs keep length and turn evenly."""
    first, second, worst = points(32).view(16, 4), points(64).view(32, 4)[16:], 0.0
    second = second * first.norm(dim=1, keepdim=True) / second.norm(dim=1, keepdim=True)
    whole = torch.cosine_similarity(first, second).arccos()
    for share in (0.0, 0.2, 0.5, 1.0):
        found = arc(first, second, share)
        worst = largest(worst, gap(found.norm(dim=1), first.norm(dim=1)))
        turned = torch.cosine_similarity(first, found).clamp(max=1.0)
        worst = largest(worst, gap(turned, (share * whole).cos()))
    line = arc(first, 3 * first, 0.25)
    return largest(worst, gap(line, 1.5 * first))


def redraw_shrinks() -> float:
    """Redrawn Gaussian data is drawn to its mean by the closed form of the flow."""
    mean, x, worst = torch.tensor([0.5, -0.3]).double(), points(16), 0.0
    model, options = model_around(mean), DiffusionOptions(grid="karras", evaluations=100)
    for t in (0.1, 0.5, 0.95):
        level = t / (1 - t)
        noisy = x + level * item_noise(16).normal(2)
        known = mean + (noisy - mean) * STD / math.hypot(STD, level)
        found = redraw(model, x, t, options=options, seed=seed())
        # The flow is linear in the distance from the mean, and so is the error of its steps.
        worst = largest(worst, relative_gap(found - mean, known - mean))
    return worst


def filled_moments(steps: int, repeats: int, value: float) -> Tensor:
    """Mean and deviation of a number made beside a known one, with correlation 0.8.

    Steps are affine in every draw, and a draw counts for the known number or for the other, so
    one run whose rows have each draw alone gives the moments without chance.
    """
    covariance = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
    exact = GaussianDenoiser(torch.tensor([0.2, -0.4]).double(), covariance)
    grid = karras(Linear(), steps, 0.01, 20.0)
    rows = 3 * len(grid) * repeats + 2
    x = torch.tensor([value, 0.0]).double().expand(rows, 2)
    known = torch.tensor([True, False])
    found = fill(Ancestral(), exact, x, known, grid, EachDraw(rows), repeats)[:, 1]
    return torch.stack([found[0], (found[1:] - found[0]).norm()])


def inpainting_converges() -> float:
    """With repeated steps the unknown gets the conditional law of Gaussian data.

    The error of its mean and deviation after 20 repeats, which fewer must exceed; errors of 20 and
    40 steps are extrapolated to endless steps by their first order.
    """
    value, errors = 1.5, []
    exact = torch.tensor([-0.4 + 0.8 * (value - 0.2), math.sqrt(1 - 0.8**2)]).double()
    for repeats in (1, 5, 20):
        coarse, fine = (filled_moments(steps, repeats, value) for steps in (20, 40))
        errors.append(gap(2 * fine - coarse, exact))
    rises = [after - before for before, after in pairwise(errors)]
    return largest(errors[-1], *rises)


def known_stays() -> float:
    """Inpainting leaves the known as they are."""
    model, x = model_around(torch.zeros(2).double()), points(8)
    options, worst = DiffusionOptions(solver="ancestral", evaluations=6), 0.0
    masks = (torch.tensor([True, False]), points(8) > 0, torch.tensor([True, True]))
    for known in masks:
        found = inpaint(model, x, known, options=options, repeats=2)
        kept = known.expand_as(x)
        worst = largest(worst, gap(found[kept], x[kept]))
        made = (found - x)[~kept]
        # Of all known numbers none is made.
        worst = largest(worst, gap((made.abs() > 0).all(), True))
    return worst


_LAWS: Rows = {
    "closed form": [
        ("diffusion/encode", 1e-4, encode_is_affine),
        ("diffusion/interpolation", 1e-3, interpolation_is_an_arc),
        ("diffusion/arc", 1e-12, arc_turns_evenly),
        ("diffusion/redraw", 2e-3, redraw_shrinks),
        ("diffusion/inpainting", 5e-2, inpainting_converges),
    ],
    "contract": [
        ("diffusion/known numbers", 0.0, known_stays),
    ],
}

LAWS = table(_LAWS)
