r"""Sharpness: the power of samples at high spatial frequencies, relative to real data's.

With $\hat x$ the discrete Fourier transform of an image,

$$s = \frac{\sum_{|f| > 1/4} E_\text{samples} |\hat x(f)|^2}
           {\sum_{|f| > 1/4} E_\text{held-out} |\hat x(f)|^2},$$

over frequencies $f$ (cycles per pixel, Euclidean norm) above half of Nyquist's 1/2. Blur gives
less than 1, grain and checkerboards more.

Source: arXiv:2003.01826 (power spectra of generated images).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.evaluation.metrics.metric import Better, Comparison, Metric, Need
from danlu.evaluation.results import Measured

HALF_NYQUIST = 0.25
CHUNK = 500


class Sharpness(Metric):
    """Ratio of high-frequency power of samples to that of held-out data."""

    title = "Sharpness"
    measures = "Power of fine detail relative to held-out data: below 1 blurred, above 1 grainy."
    better = Better.ONE
    noise = "The standard error is given."
    needs = Need.PIXELS
    least = 2

    @override
    def applies(self, comparison: Comparison) -> bool:
        description = comparison.reference.description
        return description.is_image and min(description.shape[1:]) >= 4

    @override
    def measure(self, comparison: Comparison) -> Measured:
        return power_ratio(
            high_frequency_power(comparison.x), high_frequency_power(comparison.reference.x)
        )


def high_frequency_power(
    x: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, " batch"]:
    """Power of each image above half Nyquist."""
    height, width = x.shape[-2:]
    down, across = (torch.fft.fftfreq(side, dtype=torch.float64) for side in (height, width))
    high = torch.hypot(down[:, None], across) > HALF_NYQUIST
    parts = [
        torch.fft.fft2(part.double())[..., high].abs().square().sum((1, 2))
        for part in x.split(CHUNK)
    ]
    return torch.cat(parts)


def power_ratio(samples: Float[Tensor, " n"], held_out: Float[Tensor, " m"]) -> Measured:
    """Ratio of mean powers with its standard error (delta method); 0 / 0 counts as 1."""
    top, bottom = samples.mean().item(), held_out.mean().item()
    if bottom == 0:
        return Measured(1.0 if top == 0 else math.inf)
    value = top / bottom
    errors = [power.std().item() / math.sqrt(len(power)) for power in (samples, held_out)]
    return Measured(value, math.hypot(errors[0], value * errors[1]) / bottom)
