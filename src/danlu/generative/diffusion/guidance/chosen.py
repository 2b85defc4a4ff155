"""The guidance that options ask for, around the denoiser of no class."""

import inspect
import math

from danlu.generative.diffusion import GUIDANCES
from danlu.generative.diffusion.denoiser import Denoiser
from danlu.generative.diffusion.guidance.guidance import Guidance
from danlu.generative.diffusion.guidance.interval import Interval
from danlu.generative.diffusion.guidance.rescaled import Rescaled
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.paths import Path


def chosen(options: DiffusionOptions, base: Denoiser, path: Path) -> Guidance:
    """The guidance of a conditional denoiser; `base` knows no class."""
    target = GUIDANCES[options.guided_by].target
    taken = inspect.signature(target).parameters
    own = {name: getattr(options, name) for name in taken if hasattr(options, name)}
    guidance = target(base, options.guidance, **own)
    if options.rescale > 0:
        guidance = Rescaled(guidance, options.rescale)
    return Interval(guidance, *guided_levels(path, options))


def guided_levels(path: Path, options: DiffusionOptions) -> tuple[float, float]:
    """The lowest and highest noise level at which guidance acts."""
    lowest = path.at(options.guided_from).level if options.guided_from > 0 else 0.0
    return lowest, path.at(options.guided_until).level if options.guided_until < 1 else math.inf
