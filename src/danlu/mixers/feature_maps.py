r"""Feature maps of linear attention: what stands for $e^{q^\top k}$ as a product.

The weight of token j for token i is $\phi(q_i)^\top \phi(k_j)$, divided by the sum over j where the
map asks for it. A position encoding turns the features in the numerator alone, so that the sum
stays positive; a map may do better and place the rotation itself.

Sources: arXiv:2006.16236 eq. 7 (elu + 1); kexue.fm/archives/7546 (the others);
kexue.fm/archives/8338 (trained exponential); arXiv:2104.09864 eq. 19 (rotation).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import elu, normalize, pad
from typing_extensions import override

from danlu.layers.precision import full_precision, widened

Heads = Float[Tensor, "batch heads length dim"]
Mapped = Float[Tensor, "batch heads length features"]
Turn = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Turns queries and keys at their positions."""


class Features(NamedTuple):
    """Features of queries and keys for the numerator, and for the sum that divides it.

    Where `exponent` is given, those of each key are meant to be multiplied by its exponential.
    """

    q: Mapped
    k: Mapped
    sum_q: Mapped
    sum_k: Mapped
    exponent: Float[Tensor, "batch heads length"] | None = None


class FeatureMap(nn.Module, ABC):
    """Members override `queries` and `keys`.

    Attributes:
        normalised: whether weights are divided by their sum.
    """

    normalised: bool = True

    def width(self, dim: int) -> int:
        """Size of the features of a head, which is what a rotation turns."""
        return dim

    @abstractmethod
    def queries(self, q: Heads) -> Mapped:
        """Features of queries."""

    def keys(self, k: Heads) -> Mapped:
        """Features of keys; those of queries unless overridden."""
        return self.queries(k)

    def forward(self, q: Heads, k: Heads, turn: Turn) -> Features:
        """All features, turned in the numerator alone."""
        q, k = self.queries(q), self.keys(k)
        return Features(*turn(q, k), q, k)


class Identity(FeatureMap):
    r"""The tokens themselves and no sum: $O = Q (K^\top V)$ literally; weights may be negative."""

    normalised = False

    @override
    def queries(self, q: Heads) -> Mapped:
        return q


class Elu(FeatureMap):
    r"""$\mathrm{elu}(x) + 1$."""

    @override
    def queries(self, q: Heads) -> Mapped:
        # Its compiled gradient fails on heads that are views of a wider tensor.
        return elu(q.contiguous()) + 1


class Exponential(FeatureMap):
    r"""$\phi(q) = \mathrm{softmax}(\omega q)$, $\phi(k) = e^{\omega k}$.

    A factor on the features of a query changes nothing, so they may be a softmax. With `features`
    the map $\omega$ is trained, a Performer whose directions are learned; without, the tokens
    themselves are exponentiated. The largest exponent of a key is kept apart from its features.
    """

    def __init__(self, dim: int, *, features: int | None = None) -> None:
        super().__init__()
        self.features = features
        self.directions = None
        if features is not None:
            self.directions = nn.Parameter(torch.randn(features, dim) * dim**-0.25)

    @override
    def width(self, dim: int) -> int:
        return dim if self.features is None else self.features

    @override
    def queries(self, q: Heads) -> Mapped:
        return self._seen(q).softmax(-1).to(q.dtype)

    @override
    def keys(self, k: Heads) -> Mapped:
        return self._seen(k).exp()

    @override
    def forward(self, q: Heads, k: Heads, turn: Turn) -> Features:
        seen = self._seen(k)
        exponent = seen.detach().amax(-1)
        of_query, of_key = self.queries(q), (seen - exponent[..., None]).exp().to(k.dtype)
        return Features(*turn(of_query, of_key), of_query, of_key, exponent)

    def _seen(self, x: Tensor) -> Tensor:
        x = widened(x)
        if self.directions is None:
            return x
        with full_precision(x):
            return x @ widened(self.directions).T


class FirstOrder(FeatureMap):
    r"""Weights $1 + \hat q^\top \hat k$ of vectors of norm 1: never negative, turned or not."""

    @override
    def queries(self, q: Heads) -> Mapped:
        return pad(normalize(q, dim=-1), (0, 1), value=1.0)

    @override
    def forward(self, q: Heads, k: Heads, turn: Turn) -> Features:
        # A rotation keeps the norm, so that the sum may be of turned vectors as well.
        q, k = (self.queries(part) for part in turn(q, k))
        return Features(q, k, q, k)
