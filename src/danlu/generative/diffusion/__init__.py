"""Diffusion, score and flow models: paths, denoisers, solvers on explicit grids, guidance.

Every part is a table of its own. A model is trained by one row of `PATHS`, `PREDICTIONS`,
`PRECONDITIONERS`, `WEIGHTINGS`, `TIME_SAMPLERS` and `COUPLINGS` each, and sampled by one of
`SOLVERS` and `GRIDS` each, in any combination and under any of `GUIDANCES`. Flow maps are taken by
`JUMPS`.
"""

from danlu.contracts import Method
from danlu.generative.diffusion import (
    beta_paths,
    couplings,
    grids,
    paths,
    preconditioners,
    predictions,
    time_samplers,
    weightings,
)
from danlu.generative.diffusion.analytic import two_dimensional
from danlu.generative.diffusion.discrete import (
    Discrete,
    cosine_betas,
    linear_betas,
    scaled_linear_betas,
)
from danlu.generative.diffusion.guidance.autoguidance import Autoguidance
from danlu.generative.diffusion.guidance.classifier import Classifier, Similarity
from danlu.generative.diffusion.guidance.classifier_free import ClassifierFree
from danlu.generative.diffusion.guidance.interval import Interval
from danlu.generative.diffusion.guidance.projected import Projected
from danlu.generative.diffusion.guidance.rescaled import Rescaled
from danlu.generative.diffusion.jumps import Renoised, Straight
from danlu.generative.diffusion.solvers.ancestral import Ancestral
from danlu.generative.diffusion.solvers.ddim import DDIM
from danlu.generative.diffusion.solvers.dpm_multistep import DPMSolverMultistep
from danlu.generative.diffusion.solvers.dpm_multistep_3 import DPMSolverMultistep3
from danlu.generative.diffusion.solvers.dpm_sde import DPMSolverSDE
from danlu.generative.diffusion.solvers.dpm_singlestep import DPMSolverSinglestep
from danlu.generative.diffusion.solvers.euler_maruyama import EulerMaruyama
from danlu.generative.diffusion.solvers.linear_multistep import LinearMultistep
from danlu.generative.diffusion.solvers.ode import EulerSolver, HeunSolver
from danlu.generative.diffusion.solvers.predictor_corrector import PredictorCorrector
from danlu.generative.diffusion.solvers.stochastic_heun import StochasticHeun
from danlu.generative.diffusion.solvers.unipc import UniPC

_EDM, _SDE, _DDPM = "arXiv:2206.00364", "arXiv:2011.13456", "arXiv:2006.11239"
_DPM = "arXiv:2211.01095"

PATHS = {
    "linear": Method(paths.Linear, ("arXiv:2209.03003",), paths.Linear),
    "trigonometric": Method(paths.Trigonometric, ("arXiv:2303.08797",), paths.Trigonometric),
    "vp-linear": Method(beta_paths.LinearBeta, (f"{_SDE} eq. 11",), beta_paths.LinearBeta),
    "vp-cosine": Method(beta_paths.CosineBeta, ("arXiv:2102.09672 eq. 17",), beta_paths.CosineBeta),
    "sub-vp": Method(
        beta_paths.SubVariancePreserving, (f"{_SDE} eq. 29",), beta_paths.SubVariancePreserving
    ),
    "variance-exploding": Method(
        paths.VarianceExploding, (f"{_SDE} eq. 9",), paths.VarianceExploding
    ),
    "edm": Method(paths.EDM, (f"{_EDM} tab. 1",), paths.EDM),
    "discrete-linear": Method(Discrete, (f"{_DDPM} §4",), lambda: Discrete(linear_betas())),
    "discrete-cosine": Method(
        Discrete, ("arXiv:2102.09672 eq. 17",), lambda: Discrete(cosine_betas())
    ),
    "discrete-scaled-linear": Method(
        Discrete, ("arXiv:2112.10752",), lambda: Discrete(scaled_linear_betas())
    ),
}

PREDICTIONS = {
    "data": Method(predictions.data, ("arXiv:2202.00512 §4",), lambda: predictions.data),
    "noise": Method(predictions.noise, (_DDPM,), lambda: predictions.noise),
    "score": Method(predictions.score, (_SDE,), lambda: predictions.score),
    "velocity": Method(predictions.velocity, ("arXiv:2209.03003",), lambda: predictions.velocity),
    "v": Method(predictions.v, ("arXiv:2202.00512 app. D",), lambda: predictions.v),
    "edm": Method(predictions.edm, (f"{_EDM} eq. 7",), lambda: predictions.edm),
}

PRECONDITIONERS = {
    "plain": Method(preconditioners.plain, (_DDPM,), lambda: preconditioners.plain),
    "edm": Method(preconditioners.edm, (f"{_EDM} tab. 1",), lambda: preconditioners.edm),
    "logarithmic": Method(
        preconditioners.logarithmic, (f"{_EDM} tab. 1",), lambda: preconditioners.logarithmic
    ),
}

WEIGHTINGS = {
    "unit": Method(weightings.unit, ("arXiv:2209.03003",), lambda: weightings.unit),
    "simple": Method(weightings.simple, (f"{_DDPM} eq. 14",), lambda: weightings.simple),
    "likelihood": Method(
        weightings.likelihood,
        ("arXiv:2101.09258", "arXiv:2107.00630 eq. 17"),
        lambda: weightings.likelihood,
    ),
    "edm": Method(weightings.edm, (f"{_EDM} tab. 1",), lambda: weightings.edm),
    "min-snr": Method(weightings.min_snr, ("arXiv:2303.09556",), lambda: weightings.min_snr),
    "p2": Method(weightings.p2, ("arXiv:2204.00227 eq. 8",), lambda: weightings.p2),
}

TIME_SAMPLERS = {
    "uniform": Method(time_samplers.uniform, ("arXiv:2209.03003",), lambda: time_samplers.uniform),
    "logit-normal": Method(
        time_samplers.logit_normal,
        ("arXiv:2403.03206 §3.1",),
        lambda: time_samplers.logit_normal,
    ),
    "log-normal": Method(
        time_samplers.log_normal, (f"{_EDM} tab. 1",), lambda: time_samplers.log_normal
    ),
    "steps": Method(time_samplers.steps, (f"{_DDPM} alg. 1",), lambda: time_samplers.steps),
}

COUPLINGS = {
    "independent": Method(couplings.Independent, (_DDPM,), couplings.Independent),
    "optimal": Method(couplings.Optimal, ("arXiv:2302.00482",), couplings.Optimal),
    "sinkhorn": Method(couplings.Sinkhorn, ("arXiv:1306.0895",), couplings.Sinkhorn),
    "schrodinger": Method(couplings.Schrodinger, ("arXiv:2302.00482 §3.3",), couplings.Schrodinger),
    "class-optimal": Method(couplings.ClassOptimal, ("arXiv:2503.10636",), couplings.ClassOptimal),
}

SOLVERS = {
    "euler": Method(EulerSolver, ("arXiv:2209.03003",), EulerSolver),
    "heun": Method(HeunSolver, (f"{_EDM} alg. 1",), HeunSolver),
    "stochastic-heun": Method(StochasticHeun, (f"{_EDM} alg. 2",), StochasticHeun),
    "ddim": Method(DDIM, ("arXiv:2010.02502 eq. 12",), DDIM),
    "ancestral": Method(Ancestral, (f"{_DDPM} alg. 2",), Ancestral),
    "dpm-singlestep": Method(DPMSolverSinglestep, (f"{_DPM} alg. 1",), DPMSolverSinglestep),
    "dpm-multistep": Method(DPMSolverMultistep, (f"{_DPM} alg. 2",), DPMSolverMultistep),
    "dpm-multistep-3": Method(DPMSolverMultistep3, (f"{_DPM} app. B",), DPMSolverMultistep3),
    "dpm-sde": Method(DPMSolverSDE, (f"{_DPM} eq. 18",), DPMSolverSDE),
    "unipc": Method(UniPC, ("arXiv:2302.04867",), UniPC),
    "linear-multistep": Method(
        LinearMultistep, ("Hairer, Nørsett, Wanner §III.5",), LinearMultistep
    ),
    "euler-maruyama": Method(EulerMaruyama, (f"{_SDE} eq. 6",), EulerMaruyama),
    "predictor-corrector": Method(PredictorCorrector, (f"{_SDE} alg. 2",), PredictorCorrector),
}

GRIDS = {
    "uniform": Method(grids.uniform, ("arXiv:2209.03003",), lambda: grids.uniform),
    "linspace": Method(grids.linspace, ("arXiv:2305.08891",), lambda: grids.linspace),
    "leading": Method(grids.leading, ("arXiv:2305.08891",), lambda: grids.leading),
    "quadratic": Method(grids.quadratic, ("arXiv:2010.02502",), lambda: grids.quadratic),
    "shifted": Method(grids.shifted, ("arXiv:2403.03206 eq. 23",), lambda: grids.shifted),
    "karras": Method(grids.karras, (f"{_EDM} eq. 5",), lambda: grids.karras),
    "logarithmic": Method(grids.logarithmic, ("arXiv:2206.00927",), lambda: grids.logarithmic),
}

JUMPS = {
    "straight": Method(
        Straight, ("arXiv:2505.13447",), Straight, "From time to time along the trajectory."
    ),
    "renoised": Method(
        Renoised,
        ("arXiv:2303.01469 alg. 1",),
        Renoised,
        "To the data, and back up by fresh noise.",
    ),
}

_MIXTURE = two_dimensional()

GUIDANCES = {
    "classifier-free": Method(
        ClassifierFree,
        ("arXiv:2207.12598 eq. 6",),
        lambda: ClassifierFree(_MIXTURE, 2.0),
    ),
    "autoguidance": Method(
        Autoguidance, ("arXiv:2406.02507 eq. 3",), lambda: Autoguidance(_MIXTURE, 2.0)
    ),
    "projected": Method(Projected, ("arXiv:2410.02416 alg. 1",), lambda: Projected(_MIXTURE, 2.0)),
    "rescaled": Method(
        Rescaled,
        ("arXiv:2305.08891 eq. 16",),
        lambda: Rescaled(ClassifierFree(_MIXTURE, 2.0)),
    ),
    "interval": Method(
        Interval,
        ("arXiv:2404.07724 eq. 5",),
        lambda: Interval(ClassifierFree(_MIXTURE, 2.0), 0.3, 5.0),
    ),
    "classifier": Method(
        Classifier, ("arXiv:2105.05233 alg. 2",), lambda: Classifier(_MIXTURE.log_density)
    ),
    "similarity": Method(
        Similarity,
        ("arXiv:2112.05744",),
        lambda: Similarity(_MIXTURE, _MIXTURE.means[0]),
    ),
}
