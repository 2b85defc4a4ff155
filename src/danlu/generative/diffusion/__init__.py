"""Diffusion, score and flow models: paths, denoisers, samplers on explicit grids, guidance."""

from danlu.contracts import Method
from danlu.generative.diffusion import grids, time_samplers
from danlu.generative.diffusion.paths import Linear, Trigonometric
from danlu.generative.diffusion.samplers import DDIM, EulerSampler, HeunSampler

PATHS = {
    "linear": Method(Linear, ("arXiv:2209.03003",), Linear),
    "trigonometric": Method(Trigonometric, ("arXiv:2303.08797",), Trigonometric),
}

SOLVERS = {
    "euler": Method(EulerSampler, ("arXiv:2209.03003",), EulerSampler),
    "heun": Method(HeunSampler, ("arXiv:2206.00364 alg. 1",), HeunSampler),
    "ddim": Method(DDIM, ("arXiv:2010.02502 eq. 12",), DDIM),
}

GRIDS = {
    "uniform": Method(grids.uniform, ("arXiv:2209.03003",), lambda: grids.uniform),
    "karras": Method(grids.karras, ("arXiv:2206.00364 eq. 5",), lambda: grids.karras),
    "logarithmic": Method(grids.logarithmic, ("arXiv:2206.00927",), lambda: grids.logarithmic),
}

TIME_SAMPLERS = {
    "uniform": Method(time_samplers.uniform, ("arXiv:2209.03003",), lambda: time_samplers.uniform),
    "logit-normal": Method(
        time_samplers.logit_normal,
        ("arXiv:2403.03206 §3.1",),
        lambda: time_samplers.logit_normal,
    ),
}
