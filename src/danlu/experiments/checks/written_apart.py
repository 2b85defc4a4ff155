"""Laws against definitions that are written apart, and against constants of the sources."""

from danlu.experiments.checks import (
    constants_diffusion,
    constants_generative,
    constants_optim,
    constants_sampling,
    constants_words,
    diffusion_draws,
    diffusion_likelihoods,
    diffusion_losses,
    diffusion_pointwise,
    evaluation_definitions,
    evaluation_features,
    generative_definitions,
    generative_parts,
    likelihood_definitions,
    optim_groups,
    steppers,
    words_definitions,
    words_uses,
)
from danlu.experiments.checks.law import Law

LAWS: list[Law] = [
    *constants_diffusion.LAWS,
    *constants_generative.LAWS,
    *constants_optim.LAWS,
    *constants_sampling.LAWS,
    *constants_words.LAWS,
    *diffusion_draws.LAWS,
    *diffusion_likelihoods.LAWS,
    *diffusion_losses.LAWS,
    *diffusion_pointwise.LAWS,
    *evaluation_definitions.LAWS,
    *evaluation_features.LAWS,
    *generative_definitions.LAWS,
    *generative_parts.LAWS,
    *likelihood_definitions.LAWS,
    *optim_groups.LAWS,
    *steppers.LAWS,
    *words_definitions.LAWS,
    *words_uses.LAWS,
]
