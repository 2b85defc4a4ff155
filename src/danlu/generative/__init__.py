"""Generative families, each under the contract of `danlu.generative.base`.

A row's `build(description, **settings)` makes a model for the described data; without arguments
it makes the tiny instance. The settings are what `--set model.NAME=VALUE` can change.
"""

from functools import partial

from danlu.generative import compositions, vq
from danlu.generative.autoregressive import autoregressive, language
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
from danlu.generative.recipe import Family
from danlu.generative.vae import vae

FAMILIES = {
    "vae": Family(vae.VAE, ("arXiv:1312.6114", "arXiv:1509.00519"), vae.build, recipes=vae.RECIPES),
    "gan": Family(
        gan.GAN,
        ("arXiv:1406.2661", "arXiv:1801.04406"),
        gan.build,
        "A generator against a critic that estimates the Jensen-Shannon divergence.",
        recipes=gan.RECIPES,
    ),
    "wgan": Family(
        gan.GAN,
        ("arXiv:1701.07875", "arXiv:1704.00028"),
        partial(gan.build, divergence="wasserstein-gp"),
        "A generator against a critic that estimates the Wasserstein distance, by its slope bound.",
        recipes=gan.WASSERSTEIN_RECIPES,
    ),
    "rectified-flow": Family(
        rectified_flow.RectifiedFlow,
        ("arXiv:2209.03003", "arXiv:2210.02747"),
        rectified_flow.build,
        recipes=rectified_flow.RECIPES,
    ),
    "flow": Family(
        flow.Flow, ("arXiv:1605.08803", "arXiv:1807.03039"), flow.build, recipes=flow.RECIPES
    ),
    "ffjord": Family(
        ffjord.FFJORD,
        ("arXiv:1810.01367", "arXiv:1806.07366"),
        ffjord.build,
        recipes=ffjord.RECIPES,
    ),
    "ddpm": Family(
        ddpm.DDPM, ("arXiv:2006.11239", "arXiv:2102.09672"), ddpm.build, recipes=ddpm.RECIPES
    ),
    "improved-ddpm": Family(
        improved_ddpm.ImprovedDDPM,
        ("arXiv:2102.09672",),
        improved_ddpm.build,
        recipes=improved_ddpm.RECIPES,
    ),
    "score-sde": Family(
        score_sde.ScoreSDE,
        ("arXiv:2011.13456", "arXiv:1907.05600"),
        score_sde.build,
        recipes=score_sde.RECIPES,
    ),
    "edm": Family(edm.EDM, ("arXiv:2206.00364",), edm.build, recipes=edm.RECIPES),
    "meanflow": Family(
        meanflow.MeanFlow, ("arXiv:2505.13447",), meanflow.build, recipes=meanflow.RECIPES
    ),
    "consistency": Family(
        consistency.Consistency,
        ("arXiv:2303.01469", "arXiv:2310.14189"),
        consistency.build,
        recipes=consistency.RECIPES,
    ),
    "reflow": Family(
        reflow.Reflow, ("arXiv:2209.03003 alg. 1",), reflow.build, recipes=reflow.RECIPES
    ),
    "distilled": Family(
        distilled.Distilled, ("arXiv:2209.03003 §2.2",), distilled.build, recipes=reflow.RECIPES
    ),
    "latent-flow": Family(
        compositions.latent_flow,
        ("arXiv:2112.10752", "arXiv:2106.05931"),
        compositions.latent_flow,
        recipes=compositions.RECIPES,
    ),
    "autoregressive": Family(
        autoregressive.Autoregressive,
        ("arXiv:1601.06759", "arXiv:1711.00937"),
        autoregressive.build,
        recipes=autoregressive.RECIPES,
    ),
    "lm": Family(
        language.LanguageModel,
        ("arXiv:1308.0850", "arXiv:1808.04444"),
        language.build,
        recipes=language.RECIPES,
    ),
    "mlm": Family(
        masked.MaskedModel,
        ("arXiv:1810.04805", "arXiv:1907.11692"),
        masked.build,
        recipes=masked.RECIPES,
    ),
    "vq": Family(
        vq.vq,
        ("arXiv:1711.00937", "arXiv:1906.00446", "arXiv:2012.09841"),
        vq.vq,
        recipes=vq.RECIPES,
    ),
}
