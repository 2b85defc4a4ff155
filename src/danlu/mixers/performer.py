r"""Performer: softmax attention in expectation, by random positive features, in linear time.

$e^{q^\top k} = E\,[\phi(q)^\top \phi(k)]$ with $\phi(x)_r = e^{w_r^\top x - \|x\|^2 / 2} / \sqrt m$
and $w_r \sim \mathcal N(0, I)$, $r \le m$; $q$ and $k$ carry $d^{-1/4}$ each. For independent $w_r$
the variance is $e^{\|q+k\|^2 + 2 q^\top k} (1 - e^{-\|q+k\|^2}) / m$; orthogonal blocks of $d$ rows
lower it and stay unbiased with norms of their own (`chi`), not with the norm $\sqrt d$ (`equal`).
Then $o_i = \phi(q_i)^\top S / \phi(q_i)^\top z$ with $S = \sum_j \phi(k_j) v_j^\top$ and
$z = \sum_j \phi(k_j)$ over all tokens or those up to $i$, which are the state.

Scaling a row of $\phi(q)$ changes nothing, so its largest feature is set to 1; features of keys are
kept relative to the largest one up to each token. The tail of the estimate is lognormal: it fails
for large $\|q + k\|$. Drawing new features makes states and trained weights fit less; a short
fine-tune repairs the weights.

Use it where trained softmax attention must run on sequences too long for it.

Sources: arXiv:2009.14794 lemma 1, §2.4, theorem 2; kexue.fm/archives/7921.
"""

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import SequenceContext, State, unknown
from danlu.layers.precision import full_precision, widened
from danlu.layers.scans import Run, divided, normalised_scan, relative
from danlu.layers.scans.chunks import silenced
from danlu.mixers.base import Mixer
from danlu.mixers.softmax import size_of_head, split_heads
from danlu.positions.base import PositionEncoding

Norms = Literal["chi", "equal"]


class Performer(Mixer):
    """Multi-head attention by orthogonal random features.

    Args:
        dim: width of a token.
        heads: number of heads.
        features: number of random features m.
        norms: how long the rows of the random matrix are.
        redraw_every: optimiser steps between new features; 0 keeps the first ones.
        causal: whether a token sees the past alone.
        position: a position encoding, for heads of dim / heads.
    """

    honours = frozenset({"embed", "rotate"})
    projection: Float[Tensor, "features dim"]

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 8,
        features: int = 256,
        norms: Norms = "chi",
        redraw_every: int = 0,
        causal: bool = True,
        position: PositionEncoding | None = None,
    ) -> None:
        super().__init__(dim, position=position)
        if norms not in get_args(Norms):
            raise unknown("choice of norms", norms, get_args(Norms))
        self.heads, self.causal, self.redraw_every = heads, causal, redraw_every
        self.norms: Norms = norms
        self.forms = ("chunked", "parallel", "recurrent") if causal else ("parallel",)
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)
        self.register_buffer("projection", torch.empty(features, size_of_head(dim, heads)))
        self.redraw(0)

    @torch.no_grad()
    def redraw(self, seed: int) -> None:
        """New features; a state from before does not fit them."""
        features, dim = self.projection.shape
        self.projection.copy_(orthogonal_rows(features, dim, norms=self.norms, seed=seed))

    @override
    def after_step(self, step: int) -> None:
        if self.redraw_every and step % self.redraw_every == 0:
            self.redraw(step)

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        assert context.positions is not None
        q, k, v = (split_heads(to(x), self.heads) for to in (self.query, self.key, self.value))
        if "rotate" in self.position.hooks:
            q, k = self.position.rotate(q, k, context.positions, context.positions)
        (of_query, _), (of_key, size) = (features(part, self.projection) for part in (q, k))
        held = {} if state is None else state
        factor, log_decay, largest = relative(size, held.get("largest"), context.valid)
        run = Run(form=form, valid=context.valid)
        if self.causal:
            of_key = of_key * factor[..., None].to(of_key.dtype)
            y, total = normalised_scan(
                of_query, of_key, v, held.get("sum"), log_decay=log_decay, run=run
            )
            new = {"sum": total, "largest": largest}
        else:
            of_key = of_key * (size - largest[..., None]).clamp(max=0).exp()[..., None].to(
                of_key.dtype
            )
            of_key, new = silenced(of_key, context.valid), {}
            weights = of_query @ of_key.sum(2)[..., None]
            y = divided(of_query @ (of_key.transpose(-2, -1) @ v), weights)
        return self.output(y.transpose(1, 2).flatten(2)), new


def features(
    x: Float[Tensor, "batch heads length dim"], projection: Float[Tensor, "features dim"]
) -> tuple[Float[Tensor, "batch heads length features"], Float[Tensor, "batch heads length"]]:
    """Features of queries or keys over their largest one, and its logarithm."""
    with full_precision(x):
        exponent = exponents(widened(x), projection)
    size = exponent.detach().amax(-1)
    return (exponent - size[..., None]).exp().to(x.dtype), size


def exponents(
    x: Float[Tensor, "*batch dim"], projection: Float[Tensor, "features dim"]
) -> Float[Tensor, "*batch features"]:
    """Logarithms of the features of queries or keys, up to the factor 1 / sqrt(m)."""
    x = x * x.shape[-1] ** -0.25
    return x @ projection.to(x.dtype).T - x.square().sum(-1, keepdim=True) / 2


def orthogonal_rows(rows: int, dim: int, *, norms: Norms, seed: int) -> Float[Tensor, "rows dim"]:
    """Random rows, orthogonal within blocks of `dim`; each is N(0, I) with `chi` norms."""
    generator = torch.Generator().manual_seed(seed)
    blocks = -(-rows // dim)
    matrix, upper = torch.linalg.qr(torch.randn(blocks, dim, dim, generator=generator))
    # With the signs of the triangle's diagonal the rotation is uniform.
    matrix = matrix * upper.diagonal(dim1=1, dim2=2).sign()[:, None]
    directions = matrix.flatten(0, 1)[:rows]
    if norms == "equal":
        return math.sqrt(dim) * directions
    return torch.randn(rows, dim, generator=generator).norm(dim=1, keepdim=True) * directions
