r"""Editing with a trained model: between two examples, from a sketch, and around what is known.

- `interpolate`: both examples are encoded, the codes are joined by an arc, and points of the arc
  are decoded: $\frac{\sin((1-w)\theta)}{\sin\theta}z_1 + \frac{\sin(w\theta)}{\sin\theta}z_2$ with
  the angle $\theta$ between the codes, whose length then stays that of noise. For every model that
  encodes and decodes.
- `redraw` (SDEdit): the example is taken to a noise level, $y = x + \hat\sigma\varepsilon$, and
  sampled from there; what is finer than the noise is made anew.
- `inpaint`: at every step the known numbers are put in at the level of the step. What lies around
  them follows what the model knows, at each level only as far as it sees through the noise;
  repeating a step (up again by fresh noise, then down) lets the two agree, until the result is a
  sample of the conditional law.

Sources: arXiv:2010.02502 §5.3 (interpolation), arXiv:2108.01073 alg. 1 (SDEdit), arXiv:2011.13456
app. I.2 and arXiv:2201.09865 alg. 1 (inpainting, repeated steps).
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from danlu.contracts import Asked, DanluError
from danlu.contracts.noise import ItemNoise, Noise
from danlu.generative.base import GenerativeModel
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.diffusion.scoring import LINES
from danlu.generative.diffusion.solvers.solver import Solver, run


def interpolate(
    model: GenerativeModel,
    first: Float[Tensor, "batch ..."],
    second: Float[Tensor, "batch ..."],
    shares: Sequence[float],
    *,
    condition: Asked = None,
    seed: int = 0,
) -> Float[Tensor, "shares batch ..."]:
    """Examples between two others, one set for each share of the second.

    Raises:
        CapabilityError: the model does not encode or decode.
        DanluError: the code is not one tensor, or there is no share.
    """
    model.require("encode")
    model.require("decode")
    if not shares:
        raise DanluError("Interpolation needs at least one share.")
    start, end = (_code(model, x, condition, seed) for x in (first, second))
    codes = [arc(start, end, share) for share in shares]
    return torch.stack([model.decode(code, condition=condition, seed=seed) for code in codes])


def _code(model: GenerativeModel, x: Tensor, condition: Asked, seed: int) -> Tensor:
    code = model.encode(x, condition=condition, seed=seed)
    if not isinstance(code, Tensor) or not code.is_floating_point():
        raise DanluError(f"The code of {type(model).__name__} is not one tensor of numbers.")
    return code


def arc(
    first: Float[Tensor, "batch ..."], second: Float[Tensor, "batch ..."], share: float
) -> Float[Tensor, "batch ..."]:
    """The point of the arc between two codes; of the line where they have one direction."""
    one, two = first.flatten(1), second.flatten(1)
    cosine = torch.cosine_similarity(one, two, dim=1).clamp(-1.0, 1.0)
    angle = cosine.arccos()
    sine = angle.sin()
    flat = sine < torch.finfo(one.dtype).eps ** 0.5
    sine = sine.where(~flat, 1.0)
    weights = [
        torch.where(flat, part, (part * angle).sin() / sine)[:, None] for part in (1 - share, share)
    ]
    return (weights[0] * one + weights[1] * two).view_as(first)


@torch.no_grad()
def redraw(
    model: DiffusionModel,
    x: Float[Tensor, "batch ..."],
    time: float,
    *,
    condition: Asked = None,
    seed: int = 0,
    options: Any = None,
) -> Float[Tensor, "batch ..."]:
    """Each example with all that is finer than a noise level made anew.

    Args:
        model: also one over codes, for codes.
        x: examples on the scale of the data.
        time: of the straight path, from 0 (nothing changes) to 1 (nothing stays).
        condition: a class for the new example.
        seed: of the noise.
        options: of sampling; all evaluations are spent on the part of the way.

    Raises:
        DanluError: the time lies outside the model's.
    """
    level, (lowest, highest) = LINES.at(time).level, model.path.levels()
    if not lowest < level <= highest:
        least, most = (LINES.time(end) for end in (lowest, highest))
        raise DanluError(f"Redrawing starts between times {least:.3g} and {most:.3g}, got {time}.")
    options = model.check_options(options)
    solver, grid = model.plan(options, level)
    denoise = model.guided(model.check_condition(condition, len(x)), options)
    noise = _noise(model, x, seed)
    y = x.to(model.device, model.dtype) + grid[0] * noise.normal(*x.shape[1:])
    return model.discrete(run(solver, denoise, y, grid, noise))


@torch.no_grad()
def inpaint(
    model: DiffusionModel,
    x: Float[Tensor, "batch ..."],
    known: Bool[Tensor, "..."],
    *,
    condition: Asked = None,
    seed: int = 0,
    options: Any = None,
    repeats: int = 1,
) -> Float[Tensor, "batch ..."]:
    """Each example with its unknown numbers made anew, and the known ones as they are.

    Args:
        model: also one over codes, for codes.
        x: examples on the scale of the data.
        known: of the shape of the examples or of one example.
        condition: a class for the new example.
        seed: of the noise.
        options: of sampling; solvers with a memory take every step as their first.
        repeats: how often each step is taken; multiplies the evaluations.

    Raises:
        DanluError: the mask does not fit, or a step is taken less than once.
    """
    if tuple(known.shape) not in (tuple(x.shape), tuple(x.shape[1:])):
        raise DanluError(f"A mask of shape {tuple(known.shape)} does not fit {tuple(x.shape)}.")
    if repeats < 1:
        raise DanluError(f"Every step is taken at least once, got repeats={repeats}.")
    options = model.check_options(options)
    solver, grid = model.plan(options)
    denoise = model.guided(model.check_condition(condition, len(x)), options)
    x, known = x.to(model.device, model.dtype), known.to(model.device)
    made = fill(solver, denoise, x, known, grid, _noise(model, x, seed), repeats)
    return torch.where(known, x, model.discrete(made))


def fill(
    solver: Solver,
    denoise: Denoiser,
    x: Float[Tensor, "batch ..."],
    known: Bool[Tensor, "..."],
    grid: Sequence[float],
    noise: Noise,
    repeats: int,
) -> Float[Tensor, "batch ..."]:
    """The walk along a grid that ends in 0, with the known numbers at the level of each step."""
    shape = x.shape[1:]
    y = grid[0] * noise.normal(*shape)
    for level, level_next in pairwise(grid):
        for repeat in range(repeats):
            if repeat:  # back up to the level
                y = y + math.sqrt(level**2 - level_next**2) * noise.normal(*shape)
            y = torch.where(known, x + level * noise.normal(*shape), y)
            if level_next > 0:
                y, _ = solver.step(denoise, y, level, level_next, noise, None)
            else:
                y = denoise(y, level)
    return torch.where(known, x, y)


def _noise(model: DiffusionModel, x: Tensor, seed: int) -> ItemNoise:
    return ItemNoise(seed, range(len(x)), device=model.device, dtype=model.dtype)
