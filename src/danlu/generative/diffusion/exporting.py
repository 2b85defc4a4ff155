r"""A denoiser as a function of tensors, with what a sampling loop outside danlu must know.

The function is $D(y, \hat\sigma) = E[x_0 \mid x_0 + \hat\sigma\varepsilon = y]$ for a class, so
that guidance, solver and path stay with the loop. The facts give the loop of this run: the noise
levels that it visits and the guidance at each.

Sources: arXiv:2206.00364 (denoiser and coordinates), arXiv:2207.12598 (guidance).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from danlu.contracts import Export, Port
from danlu.generative.base import GenerativeModel
from danlu.generative.decoding import class_example, class_port, data_port
from danlu.generative.diffusion.guidance.chosen import guided_levels
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.paths import Path

Denoised = Callable[[Tensor, Tensor, Tensor | None], Tensor]

FORMULAS = {
    "classifier-free": "D(y, level, no class) + s * (D(y, level, class) - D(y, level, no class))",
    "projected": "D(y, level, class) + (s - 1) * (across + parallel * along), the parts of "
    "D(y, level, class) - D(y, level, no class) across and along D(y, level, class)",
}
RESCALED = "; times rescale * std(D(y, level, class)) / std(the guided) + 1 - rescale"


class ExportedDenoiser(nn.Module):
    """The denoiser of a model as a module; any path and prediction is inside."""

    def __init__(self, model: nn.Module, denoised: Denoised) -> None:
        super().__init__()
        self.model = model
        self.denoised = denoised

    def forward(
        self,
        y: Float[Tensor, "batch ..."],
        level: Float[Tensor, " batch"],
        class_id: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch ..."]:
        """The expected data for each row."""
        return self.denoised(y, level, class_id)


def denoiser_export(
    model: GenerativeModel,
    denoised: Denoised,
    path: Path,
    grid: Sequence[float],
    options: DiffusionOptions,
) -> Export:
    """The denoiser `(y, level[, class_id])` of a model with the loop that samples it.

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
        return [y, level, *class_example(model, n)]

    loop: dict[str, Any] = {
        "state": "y = data + level * noise; on the line x = (1 - t) * data + t * noise, "
        "y = x / (1 - t) and level = t / (1 - t)",
        "start": "y = levels[0] * noise, standard normal",
        "end": "the last step, to level 0, is the denoiser's answer",
    }
    loop = {"path": loop, "levels": list(grid), "solver": options.solver, "eta": options.eta}
    if model.description.classes:
        formula = FORMULAS[options.guided_by] + (RESCALED if options.rescale else "")
        loop |= {"guidance": list(scales), "guided": formula}
        loop |= {"parallel": options.parallel, "rescale": options.rescale}
    level = Port(about="noise level of each row", low=lowest, high=highest)
    inputs = {"y": Port(about="data + level * noise"), "level": level, **class_port(model)}
    return Export(
        about="the expected data given noisy data and, where there are classes, a class",
        module=ExportedDenoiser(model, denoised).eval(),
        inputs=inputs,
        output=data_port(model),
        example=example,
        facts=loop,
    )
