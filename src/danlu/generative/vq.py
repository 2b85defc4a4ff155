r"""Vector-quantised autoencoder: an image as a short sequence of ids out of a learned codebook.

An encoder turns $x$ into tokens $z_1 \dots z_L$, each is replaced by its nearest code
$e_{k_l}$, $k_l = \arg\min_j \|z_l - e_j\|$, and a decoder predicts $p(x \mid e_{k_1 \dots k_L})$.
Training minimises

$-\log p(x \mid e_k) / D + \beta\,\operatorname{mean}(z - \operatorname{sg} e_k)^2$

for $D$ numbers in an example; the decoder's gradient at $e_k$ is passed to $z$ as it is, and the
codes follow the mean of their cells by moving averages, with dead codes revived. Under a prior
over ids,

$\log p(x) = \log \sum_k p(k)\, p(x \mid e_k) \ge \log p(k(x)) + \log p(x \mid e_{k(x)})$:

a lower bound, since it keeps one term of the sum; the encoder is a point mass, which costs nothing.
In the first stage the prior is uniform. In the second a causal transformer over the ids, which
alone sees the class, takes its place: $p(k \mid c) = \prod_l p(k_l \mid k_{<l}, c)$.

Use it for short discrete codes, and for samples at the cost of one small sequence. The decoder is
drawn from number by number: look at its means.

Sources: arXiv:1711.00937 eqs. 1-3 and app. A.1; arXiv:1906.00446 (a prior with attention);
arXiv:2007.02731 (bounds by layers). Also kexue.fm/archives/6760.
"""

from dataclasses import replace

from danlu.contracts import DataDescription
from danlu.generative.composing import prior_of
from danlu.generative.quantized.vq_vae import build as build_first
from danlu.generative.recipe import Recipe, Recipes, Regime, plan_of
from danlu.generative.stages import Staged
from danlu.generative.tiny import TINY

HEAD_DIM = 16
"""Numbers in a head of the prior's attention."""


def vq(  # noqa: PLR0913 - runs of earlier versions name all but `prior`
    description: DataDescription = TINY,
    *,
    codes: int = 32,
    width: int = 16,
    prior_width: int = 64,
    prior_depth: int = 2,
    replaced: float = 0.1,
    share: float = 0.4,
    prior: str = "autoregressive",
) -> Staged:
    """A VQ-VAE, then a family over its ids, a causal transformer; the VQ-VAE gets `share`."""
    first = build_first(replace(description, condition=None), codes=codes, width=width)
    ids = replace(first.prior.description, condition=description.condition)
    heads = max(1, prior_width // HEAD_DIM)
    sizes = {"dim": prior_width, "depth": prior_depth, "heads": heads, "replaced": replaced}
    return Staged(description, first, prior_of(prior, ids, **sizes), share=share)


RECIPES: Recipes = {
    Regime.VECTOR: Recipe(plan=plan_of(256, 2e-3)),
    Regime.SMALL_IMAGE: Recipe(model={"replaced": 0.3, "share": 0.35}, plan=plan_of(128, 3e-3)),
    Regime.IMAGE: Recipe(
        model={"codes": 128, "width": 32, "prior_width": 96}, plan=plan_of(64, 2e-3)
    ),
}
