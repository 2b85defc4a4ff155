r"""One law for every likelihood model: layers that end in a prior.

$\log p(x) \succeq \log p(\text{code}) + \sum_l \text{contribution}_l$

Each layer maps its input to a code and contributes: a bijection $\log|\det J|$ (exact), the
rounding of dequantisation $-\log q(u \mid x)$ (lower), a variational block
$\log p(x \mid z) - \log q(z \mid x)$ (lower), a split $\log p(z_2 \mid z_1)$ (exact), a vector
quantiser a point mass (lower). The prior is itself a `GenerativeModel` over codes.

Averaging K draws inside the logarithm gives the importance-weighted bound, which grows with K
in expectation towards $\log p(x)$.

Sources: arXiv:2007.02731 (the composition law), arXiv:1509.00519 eq. 8 (IWAE).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import (
    Asked,
    Batch,
    Bound,
    DanluError,
    DataDescription,
    Evidence,
    Export,
    Losses,
    Measure,
    Progress,
    Told,
)
from danlu.contracts.noise import BatchNoise, ItemNoise, Noise
from danlu.generative.base import Code, GenerativeModel
from danlu.generative.chain_options import ChainOptions, Estimator, Output
from danlu.generative.decoding import decoder_export
from danlu.generative.layer import Evaluations, Layer

LABEL_DROP_EVERY = 10
"""One play in so many trains without classes, for the unconditional likelihood."""


class Chain(GenerativeModel):
    """Layers in the order data to code, and a prior over the last code; trained by likelihood."""

    can = frozenset({"sample", "log_prob", "encode", "decode", "reconstruct", "condition"})
    Options: ClassVar[type] = ChainOptions

    def __init__(
        self, description: DataDescription, layers: Sequence[Layer], prior: GenerativeModel
    ) -> None:
        super().__init__(description)
        self.layers = nn.ModuleList(layers)
        self.prior = prior

    @property
    def links(self) -> list[Layer]:
        """The layers with their type."""
        return cast(list[Layer], list(self.layers))

    @property
    def bound(self) -> Bound:
        """The bound of the layers together, without the prior's."""
        bound = Bound.EXACT
        for layer in self.links:
            bound = bound.with_(layer.bound)
        return bound

    def measured(self, prior: Measure) -> Measure:
        """The measure of the data: that of the first layer that decides, else the prior's."""
        return next((layer.measure for layer in self.links if layer.measure), prior)

    @property
    def evaluations(self) -> Evaluations:
        """Those of the layers together, without the prior's."""
        each = [layer.evaluations for layer in self.links]
        return Evaluations(sum(one.encode for one in each), sum(one.decode for one in each))

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {"model": [self.layers, self.prior]}

    @override
    def networks(self) -> list[nn.Module]:
        own = [network for layer in self.links for network in layer.networks()]
        return [*own, *self.prior.networks()]

    @override
    @torch.no_grad()
    def start(self, batch: Batch) -> None:
        """Every layer starts on what reaches it, and the prior on codes."""
        noise = BatchNoise(len(batch), device=batch.x.device, dtype=batch.x.dtype)
        x = batch.x
        for layer in self.links:
            layer.start(x)
            code, _ = layer.encode(x, batch.condition, noise)
            x = code[0] if isinstance(code, tuple) else code
        self.prior.start(replace(batch, x=x, condition=known(self.prior, batch.condition)))

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        noise = BatchNoise(len(batch), device=batch.x.device, dtype=batch.x.dtype)
        condition = None if progress.seed % LABEL_DROP_EVERY == 0 else batch.condition
        code, total = self.contributions(batch.x, condition, noise)
        inner = self._inner(self.prior, code, noise, condition)
        self._check_trains(inner.value)
        value = total + inner.value
        # Per number, so that one learning rate and clipping serve all sizes.
        return Losses.of(nats_per_number=-value.mean() / self.description.dims)

    def contributions(
        self, x: Float[Tensor, "batch ..."], condition: Told, noise: Noise
    ) -> tuple[Code, Float[Tensor, " batch"]]:
        """The whole code and the sum of the layers' contributions."""
        total = x.new_zeros(len(x))
        kept: list[Tensor] = []
        for layer in self.links:
            code, contribution = layer.encode(x, condition, noise)
            total = total + contribution
            if layer.keeps:
                code, *rest = code
                kept += rest
            assert isinstance(code, Tensor)
            x = code
        return ((x, *kept) if kept else x), total

    def expand(
        self, code: Code, condition: Told, noise: Noise, output: str = Output.DRAW
    ) -> Float[Tensor, "batch ..."]:
        """The code back to data; what layers would have kept is drawn if it is not given."""
        x, *kept = code if isinstance(code, tuple) else (code,)
        for layer in reversed(self.links):
            turns = {Output.MEAN: layer.mean, Output.UNROUNDED: layer.unrounded}
            turn = turns.get(Output(output), layer.decode)
            if layer.keeps and kept:
                x = turn((x, *kept[-layer.keeps :]), condition, noise)
                del kept[-layer.keeps :]
            else:
                x = turn(x, condition, noise)
        return x

    @override
    @torch.no_grad()
    def encode(self, x: Tensor, *, condition: Asked = None, seed: int = 0) -> Code:
        x, ids = self.check_data(x, "encode"), self.check_condition(condition, len(x))
        return self.contributions(x, ids, self._item_noise(seed, len(x)))[0]

    @override
    @torch.no_grad()
    def decode(self, code: Code, *, condition: Asked = None, seed: int = 0) -> Tensor:
        code, n = self.check_code(code)
        ids = self.check_condition(condition, n)
        return self.expand(code, ids, self._item_noise(seed + 1, n))

    @override
    def draw(self, noise: Noise, n: int, condition: Told, options: ChainOptions) -> Tensor:
        code = self.prior.draw(noise, n, known(self.prior, condition), self.prior.Options())
        return self.expand(code, condition, noise, options.output)

    @override
    def sampling_evaluations(self, options: ChainOptions) -> int:
        return self.prior.sampling_evaluations(self.prior.Options()) + self.evaluations.decode

    @override
    def exports(self, options: Any) -> dict[str, Export]:
        return {"decoder": decoder_export(self, self.prior)}

    @override
    def evidence(self, x: Tensor, noise: Noise, condition: Told, options: ChainOptions) -> Evidence:
        return self.evidence_under(self.prior, x, noise, condition, options)

    def evidence_under(
        self,
        prior: GenerativeModel,
        x: Tensor,
        noise: Noise,
        condition: Told,
        options: ChainOptions,
        inner: Any = None,
    ) -> Evidence:
        """The likelihood of these layers with another prior over the code, by its options `inner`.

        The spread over draws holds the prior's own statistical error, which each draw has anew.
        Inside a logarithm such an error adds to the value, which then is no bound.
        """
        stochastic = any(layer.stochastic for layer in self.links)
        passes = [
            self._one_pass(prior, x, noise, condition, inner)
            for _ in range(options.draws if stochastic else 1)
        ]
        first = passes[0]
        value, stderr, bound = first.value, first.stderr, first.bound
        if stochastic:
            value, stderr = _average(torch.stack([p.value for p in passes]), options.estimator)
            noisy = any(bool(p.stderr.gt(0).any()) for p in passes)
            bound = Bound.NONE if noisy and options.estimator == Estimator.IWAE else bound
        return replace(
            first,
            value=value,
            bound=bound,
            stderr=stderr,
            evaluations=sum(p.evaluations for p in passes),
            condition=self.named(condition),
        )

    def _one_pass(
        self, prior: GenerativeModel, x: Tensor, noise: Noise, condition: Told, options: Any = None
    ) -> Evidence:
        code, total = self.contributions(x, condition, noise)
        inner = self._inner(prior, code, noise, condition, options)
        return Evidence(
            value=total + inner.value,
            bound=self.bound.with_(inner.bound),
            stderr=inner.stderr,
            evaluations=inner.evaluations + self.evaluations.encode,
            measure=self.measured(inner.measure),
            condition=inner.condition,
            dims=self.description.dims,
        )

    def _inner(
        self, prior: GenerativeModel, code: Code, noise: Noise, condition: Told, options: Any = None
    ) -> Evidence:
        """The prior's evidence of a code; what a layer kept is in its contribution already."""
        code = as_numbers(code[0] if isinstance(code, tuple) else code, self.dtype)
        return prior.evidence(code, noise, known(prior, condition), prior.check_options(options))

    def _check_trains(self, value: Tensor) -> None:
        """Refuse a prior that has players but whose likelihood leads to no gradient."""
        if self.prior.players() and torch.is_grad_enabled() and not value.requires_grad:
            raise DanluError(
                f"The likelihood of {type(self.prior).__name__} has no gradient, so a chain "
                "cannot train it as its prior: use Staged, which trains it by its own loss."
            )

    def _item_noise(self, seed: int, n: int) -> ItemNoise:
        return ItemNoise(seed, range(n), device=self.device, dtype=self.dtype)


def as_numbers(code: Num[Tensor, "batch ..."], dtype: torch.dtype) -> Float[Tensor, "batch ..."]:
    """A code on the scale of its description, as every family reads it; ids become numbers."""
    return code if code.is_floating_point() else code.to(dtype)


def known(prior: GenerativeModel, condition: Told) -> Told:
    """The condition as a prior takes it: None for one that is told nothing."""
    return condition if prior.description.condition else None


def _average(
    weights: Float[Tensor, "draws batch"], estimator: str
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """The bound from log-weights and its standard error (delta method inside the logarithm)."""
    draws = len(weights)
    if estimator == Estimator.ELBO:
        return weights.mean(0), weights.std(0) / math.sqrt(draws)
    value = weights.logsumexp(0) - math.log(draws)
    relative = (weights - value).exp()
    return value, relative.std(0) / math.sqrt(draws)
