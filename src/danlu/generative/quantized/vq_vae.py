r"""Vector-quantised autoencoder: an encoder to tokens, a codebook, a decoder.

$\log p(x) \ge \log p(k(x)) + \log p(x \mid e_{k(x)})$ with $k$ the ids of the nearest codes;
trained by $-\log p(x \mid e_k) / D + \beta\,\operatorname{mean}(z - \operatorname{sg} e_k)^2$, with
gradients straight through and codes by moving averages. `danlu.generative.vq` says more.

Sources: arXiv:1711.00937 eqs. 1-3 and app. A.1.
"""

from collections.abc import Iterable
from typing import cast

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import Asked, Batch, Bound, DataDescription, Losses, Progress, Told
from danlu.contracts.noise import Noise
from danlu.generative.base import Code
from danlu.generative.chain import Chain, ChainOptions, Evaluations, Layer, Output
from danlu.generative.parts.priors import UniformIds
from danlu.generative.quantized.networks import FromTokens, ToTokens, token_count
from danlu.generative.tiny import TINY
from danlu.layers.codebook import Codebook
from danlu.losses import likelihood_of
from danlu.losses.likelihoods import Likelihood

COMMITMENT = 0.25
"""Weight of the pull of tokens towards their codes."""
REVIVE_UNTIL = 0.5
"""Fraction of the stage up to which dead codes are revived."""


class QuantisedBlock(Layer):
    """An encoder to tokens, a codebook, a decoder and a likelihood as one link of a chain.

    Args:
        encoder: x to tokens, `[batch, length, dim]`.
        codebook: of vectors of `dim` numbers.
        decoder: tokens to the likelihood's output.
        likelihood: what that output means.
    """

    bound = Bound.LOWER
    evaluations = Evaluations(encode=2, decode=1)

    def __init__(
        self, encoder: nn.Module, codebook: Codebook, decoder: nn.Module, likelihood: Likelihood
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.codebook = codebook
        self.decoder = decoder
        self.likelihood = likelihood
        self.measure = likelihood.measure

    @override
    def networks(self) -> list[nn.Module]:
        return [self.encoder, self.decoder]

    def tokens(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch length dim"]:
        """The tokens of each example, at least in float32."""
        z = self.encoder(x)
        return z.to(torch.promote_types(z.dtype, torch.float32))

    def ids(self, x: Float[Tensor, "batch ..."]) -> Int[Tensor, "batch length"]:
        """The ids of the nearest codes."""
        return self.codebook.nearest(self.tokens(x))

    def output(self, ids: Int[Tensor, "batch length"]) -> Float[Tensor, "batch ..."]:
        """The likelihood's parameters given ids."""
        return self.decoder(self.codebook.lookup(ids))

    @override
    def start(self, x: Float[Tensor, "batch ..."]) -> None:
        """The codes start at tokens of these examples."""
        self.codebook.start(self.tokens(x))

    @override
    def encode(
        self, x: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> tuple[Int[Tensor, "batch length"], Float[Tensor, " batch"]]:
        ids = self.ids(x)
        return ids, self.likelihood.log_prob(x, self.output(ids))

    @override
    def decode(
        self, code: Num[Tensor, "batch length"], condition: Told, noise: Noise
    ) -> Float[Tensor, "batch ..."]:
        return self.likelihood.draw(self.output(code.long()), noise)

    @override
    def unrounded(
        self, code: Num[Tensor, "batch length"], condition: Told, noise: Noise
    ) -> Float[Tensor, "batch ..."]:
        return self.likelihood.unrounded(self.output(code.long()), noise)

    @override
    def mean(
        self, code: Num[Tensor, "batch length"], condition: Told, noise: Noise
    ) -> Float[Tensor, "batch ..."]:
        return self.likelihood.mean(self.output(code.long()))


class VQVAE(Chain):
    """One `QuantisedBlock` under a uniform prior over ids, blind to classes."""

    picture_options = ChainOptions(output=Output.MEAN)
    picture_note = "means of p(x|ids)"

    def __init__(
        self, description: DataDescription, block: QuantisedBlock, prior: UniformIds
    ) -> None:
        super().__init__(description, [block], prior)

    @property
    def block(self) -> QuantisedBlock:
        """The single layer."""
        return cast(QuantisedBlock, self.layers[0])

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {"model": [self.layers]}

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        block = self.block
        z = block.tokens(batch.x)
        quantised, ids = block.codebook(z)
        distortion = -block.likelihood.log_prob(batch.x, block.decoder(quantised)).mean()
        commitment = (z - quantised.detach()).square().mean()
        total = distortion / self.description.dims + COMMITMENT * commitment
        return Losses(
            total,
            {"distortion": distortion, "commitment": commitment},
            {"perplexity": block.codebook.perplexity(ids), "used_codes": block.codebook.used()},
        )

    @override
    @torch.no_grad()
    def encode(self, x: Tensor, *, condition: Asked = None, seed: int = 0) -> Code:
        x = self.check_data(x, "encode")
        self.check_condition(condition, len(x))
        return self.block.ids(x)  # without the decoder, which ids do not need

    @override
    def after_step(self, player: str, progress: Progress) -> None:
        self.block.codebook.update()
        if progress.fraction < REVIVE_UNTIL:
            self.block.codebook.revive(progress.seed)

    @override
    @torch.no_grad()
    def finish(self, batches: Iterable[Batch]) -> None:
        # The averaged encoder is not the one that the codes have followed.
        codebook = self.block.codebook
        for batch in batches:
            z = self.block.tokens(batch.x)
            codebook.stash(z, codebook.nearest(z))
        codebook.update(decay=0.0)


def build(
    description: DataDescription = TINY,
    *,
    codes: int = 64,
    dim: int = 8,
    width: int = 32,
    likelihood: str = "auto",
) -> VQVAE:
    """A VQ-VAE for images or vectors; `likelihood` is a row of LIKELIHOODS, or auto by levels."""
    output = likelihood_of(description, likelihood)
    values = output.parameters_per_number
    block = QuantisedBlock(
        ToTokens(description, dim, width=width),
        Codebook(codes, dim),
        FromTokens(description, dim, values=values, width=width),
        output,
    )
    ids = DataDescription(
        shape=(token_count(description),), levels=codes, low=0.0, high=codes - 1.0
    )
    return VQVAE(description, block, UniformIds(ids))
