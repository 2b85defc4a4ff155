"""Our solvers reach the figures that diffusers' own test suite keeps of whole runs.

Its case: an image that counts up from 0 to 1, a model that says x t / (t + 1) for the noise, betas
from 1e-4 to 0.02 in a line over 1,000 steps. Sums and means are of absolute values.
"""

from itertools import pairwise

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from danlu.generative.diffusion.solvers.ancestral import Ancestral
from danlu.generative.diffusion.solvers.ddim import DDIM
from danlu.generative.diffusion.solvers.dpm_multistep import DPMSolverMultistep
from danlu.laws.generative.diffusion.test_bed import RecordedNoise

pytestmark = [
    pytest.mark.long,
    pytest.mark.usefixtures("float64"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

STEPS = 1000
SHAPE = (3, 8, 8)
KEPT = (1 - torch.linspace(1e-4, 0.02, STEPS, dtype=torch.float64)).cumprod(0)
LEVELS = ((1 - KEPT) / KEPT).sqrt().tolist()


class Drawn(RecordedNoise):
    """Draws as a scheduler makes them: in float32, one for every step but the last."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(0)

    def normal(self, *shape):
        found = torch.randn(4, *SHAPE, generator=self.generator, dtype=torch.float32)
        return found.double()


def ended(solver, times, last, *, limit=torch.inf):
    """The image after steps at `times`, the last one to the level `last`."""
    levels = [*(LEVELS[t] for t in times), last]
    at = dict(zip(levels, times, strict=False))

    def denoise(y, level):
        kept = (1 + level**2) ** -0.5
        noise = y * kept * at[level] / (at[level] + 1)
        return (y - level * noise).clamp(-limit, limit)

    count = torch.arange(4 * 3 * 8 * 8).reshape(*SHAPE, 4).permute(3, 0, 1, 2)
    x = count.double() / count.numel()
    y, memory, noise = x * (1 + levels[0] ** 2) ** 0.5, None, Drawn()
    for level, level_next in pairwise(levels):
        if level_next == 0:
            y = denoise(y, level)
        else:
            y, memory = solver.step(denoise, y, level, level_next, noise, memory)
    return (y * (1 + last**2) ** -0.5).abs()


def test_ddpm():
    found = ended(Ancestral("small"), list(reversed(range(STEPS))), 0.0, limit=1.0)
    assert found.sum().item() == pytest.approx(258.9606, abs=1e-2)
    assert found.mean().item() == pytest.approx(0.3372, abs=1e-3)


def test_ddim():
    found = ended(DDIM(), list(range(900, -1, -100)), 0.0)
    assert found.sum().item() == pytest.approx(172.0067, abs=1e-2)
    assert found.mean().item() == pytest.approx(0.223967, abs=1e-5)


def test_second_order_multistep():
    scheduler = DPMSolverMultistepScheduler(
        beta_start=1e-4, beta_end=0.02, lower_order_final=False, final_sigmas_type="sigma_min"
    )
    scheduler.set_timesteps(10)  # for the grid alone
    times, last = scheduler.timesteps.tolist(), scheduler.sigmas[-1].item()
    found = ended(DPMSolverMultistep(), times, last)
    assert found.mean().item() == pytest.approx(0.3301, abs=1e-3)
