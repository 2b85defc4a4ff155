"""Generative families, each under the contract of `danlu.generative.base`.

A row's `build(description, **settings)` makes a model for the described data; without arguments
it makes the tiny instance. The settings are what `--set model.NAME=VALUE` can change.
"""

from functools import partial

from danlu.contracts import Method
from danlu.generative.autoregressive import autoregressive, language
from danlu.generative.compositions import latent_flow
from danlu.generative.diffusion import (
    consistency,
    ddpm,
    distilled,
    edm,
    improved_ddpm,
    meanflow,
    rectified_flow,
    reflow,
    score_sde,
)
from danlu.generative.flow import ffjord, flow
from danlu.generative.gan import gan
from danlu.generative.masked import masked
from danlu.generative.vae import vae
from danlu.generative.vq import vq

FAMILIES = {
    "vae": Method(vae.VAE, ("arXiv:1312.6114", "arXiv:1509.00519"), vae.build),
    "gan": Method(
        gan.GAN,
        ("arXiv:1406.2661", "arXiv:1801.04406"),
        gan.build,
        "A generator against a critic that estimates the Jensen-Shannon divergence.",
    ),
    "wgan": Method(
        gan.GAN,
        ("arXiv:1701.07875", "arXiv:1704.00028"),
        partial(gan.build, divergence="wasserstein-gp"),
        "A generator against a critic that estimates the Wasserstein distance, by its slope bound.",
    ),
    "rectified-flow": Method(
        rectified_flow.RectifiedFlow, ("arXiv:2209.03003", "arXiv:2210.02747"), rectified_flow.build
    ),
    "flow": Method(flow.Flow, ("arXiv:1605.08803", "arXiv:1807.03039"), flow.build),
    "ffjord": Method(ffjord.FFJORD, ("arXiv:1810.01367", "arXiv:1806.07366"), ffjord.build),
    "ddpm": Method(ddpm.DDPM, ("arXiv:2006.11239", "arXiv:2102.09672"), ddpm.build),
    "improved-ddpm": Method(improved_ddpm.ImprovedDDPM, ("arXiv:2102.09672",), improved_ddpm.build),
    "score-sde": Method(
        score_sde.ScoreSDE, ("arXiv:2011.13456", "arXiv:1907.05600"), score_sde.build
    ),
    "edm": Method(edm.EDM, ("arXiv:2206.00364",), edm.build),
    "meanflow": Method(meanflow.MeanFlow, ("arXiv:2505.13447",), meanflow.build),
    "consistency": Method(
        consistency.Consistency, ("arXiv:2303.01469", "arXiv:2310.14189"), consistency.build
    ),
    "reflow": Method(reflow.Reflow, ("arXiv:2209.03003 alg. 1",), reflow.build),
    "distilled": Method(distilled.Distilled, ("arXiv:2209.03003 §2.2",), distilled.build),
    "latent-flow": Method(latent_flow, ("arXiv:2112.10752", "arXiv:2106.05931"), latent_flow),
    "autoregressive": Method(
        autoregressive.Autoregressive,
        ("arXiv:1601.06759", "arXiv:1711.00937"),
        autoregressive.build,
    ),
    "lm": Method(language.LanguageModel, ("arXiv:1308.0850", "arXiv:1808.04444"), language.build),
    "mlm": Method(masked.MaskedModel, ("arXiv:1810.04805", "arXiv:1907.11692"), masked.build),
    "vq": Method(vq, ("arXiv:1711.00937", "arXiv:1906.00446", "arXiv:2012.09841"), vq),
}
