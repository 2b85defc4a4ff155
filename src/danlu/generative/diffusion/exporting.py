r"""A denoiser as a function of tensors, with what a sampling loop outside danlu must know.

The function is $D(y, \hat\sigma) = E[x_0 \mid x_0 + \hat\sigma\varepsilon = y]$ for a class, so
that guidance, solver and path stay with the loop. The facts give the loop of this run: the noise
levels that it visits and the guidance at each.

A flow map $f(x, t, s)$ comes with the times that its jumps visit and what they do.

Sources: arXiv:2206.00364 (denoiser and coordinates), arXiv:2207.12598 (guidance),
arXiv:2303.01469 alg. 1 (jumps).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from danlu.contracts import Export, Port, Told
from danlu.generative.base import GenerativeModel
from danlu.generative.decoding import ToldFunction, data_port, told_example, told_ports
from danlu.generative.diffusion.guidance.chosen import guided_levels
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.paths import Path

Denoised = Callable[[Tensor, Tensor, Told], Tensor]
Mapped = Callable[[Tensor, Tensor, Tensor, Told], Tensor]

FORMULAS = {
    "classifier-free": "D(y, level, no class) + s * (D(y, level, class) - D(y, level, no class))",
    "projected": "D(y, level, class) + (s - 1) * (across + parallel * along), the parts of "
    "D(y, level, class) - D(y, level, no class) across and along D(y, level, class)",
}
RESCALED = "; times rescale * std(D(y, level, class)) / std(the guided) + 1 - rescale"


def denoiser_export(
    model: GenerativeModel,
    denoised: Denoised,
    path: Path,
    grid: Sequence[float],
    options: DiffusionOptions,
) -> Export:
    """The denoiser `(y, level, *condition)` of a model with the loop that samples it.

    `grid` holds falling noise levels that end in 0.
    """
    lowest, highest = path.levels()
    first, last = guided_levels(path, options)
    scales = [options.guidance if first <= level <= last else 1.0 for level in grid]

    def example(n: int) -> list[Tensor]:
        shape, kind = model.description.shape, {"device": model.device, "dtype": model.dtype}
        share = torch.rand(n, **kind)
        level = (math.log(lowest) * (1 - share) + math.log(highest) * share).exp()
        noise = torch.randn(n, *shape, **kind)
        y = torch.rand(n, *shape, **kind) + level.view(-1, *[1] * len(shape)) * noise
        return [y, level, *told_example(model, n)]

    loop: dict[str, Any] = {
        "state": "y = data + level * noise; on the line x = (1 - t) * data + t * noise, "
        "y = x / (1 - t) and level = t / (1 - t)",
        "start": "y = levels[0] * noise, standard normal",
        "end": "the last step, to level 0, is the denoiser's answer",
    }
    loop = {"path": loop, "levels": list(grid), "solver": options.solver, "eta": options.eta}
    if model.description.condition:
        formula = FORMULAS[options.guided_by] + (RESCALED if options.rescale else "")
        loop |= {"guidance": list(scales), "guided": formula}
        loop |= {"parallel": options.parallel, "rescale": options.rescale}
    level = Port(about="noise level of each row", low=lowest, high=highest)
    inputs = {"y": Port(about="data + level * noise"), "level": level, **told_ports(model)}
    return Export(
        about="the expected data given noisy data and, where there is one, a condition",
        module=ToldFunction(model, denoised).eval(),
        inputs=inputs,
        output=data_port(model),
        example=example,
        facts=loop,
    )


JUMP_FORMULAS = {
    "straight": "x = f(x, t, s)",
    "renoised": "x = alpha(s) * f(x, t, 0) + sigma(s) * noise, standard normal",
}


def flow_map_export(
    model: GenerativeModel, mapped: Mapped, path: Path, times: Sequence[float], jumps: str
) -> Export:
    """The flow map `(x, t, s, *condition)` of a model with the jumps that sample it.

    `times` fall from pure noise to the data.
    """
    points = [path.at(t) for t in times]

    def example(n: int) -> list[Tensor]:
        kind = {"device": model.device, "dtype": model.dtype}
        t = torch.full((n,), times[0], **kind)
        x = points[0].sigma * torch.randn(n, *model.description.shape, **kind)
        return [x, t, torch.full((n,), times[-1], **kind), *told_example(model, n)]

    time = {"low": 0.0, "high": 1.0}
    inputs = {
        "x": Port(about="alpha(t) * data + sigma(t) * noise"),
        "t": Port(about="time of x, 0 for data and 1 for noise", **time),
        "s": Port(about="earlier time to go to", **time),
        **told_ports(model),
    }
    facts = {
        "times": list(times),
        "alpha": [point.alpha for point in points],
        "sigma": [point.sigma for point in points],
        "start": "x = sigma[0] * noise, standard normal",
        "jump": f"from t = times[i] to s = times[i + 1]: {JUMP_FORMULAS[jumps]}",
    }
    return Export(
        about="the state at an earlier time of the trajectory through x at time t",
        module=ToldFunction(model, mapped).eval(),
        inputs=inputs,
        output=data_port(model),
        example=example,
        facts=facts,
    )
