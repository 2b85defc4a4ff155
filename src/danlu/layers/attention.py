r"""Scaled dot-product attention, $\mathrm{softmax}(s\, q k^\top + m)\, v$, in its best form.

Two forms of one function. `fused` is torch's kernel; `plain` is two products and a softmax.
On the CPU the fused backward in bfloat16 loses to the plain form at short lengths, and the fused
kernel has neither forward-mode nor double backward, which Jacobian products and gradient
penalties need. The scale $s$ is $1 / \sqrt d$ unless given; the mask $m$ is a bias, or booleans
that are true where a query may look. A query that may look nowhere gets zeros.

Sources: arXiv:1706.03762 eq. 1.
"""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from danlu.layers.precision import full_precision, widened

Derivatives = Literal["first", "higher"]
Mask = (
    Bool[Tensor, "#batch #heads #length keys"] | Float[Tensor, "#batch #heads #length keys"] | None
)

PLAIN_UP_TO = 512
"""Longest sequence at which the plain form wins in bfloat16 training on the CPU."""


def attend(
    q: Float[Tensor, "batch heads length dim"],
    k: Float[Tensor, "batch heads keys dim"],
    v: Float[Tensor, "batch heads keys values"],
    *,
    mask: Mask = None,
    scale: float | None = None,
    derivatives: Derivatives = "first",
) -> Float[Tensor, "batch heads length values"]:
    """Attention in the form that suits device, type, length and the derivatives needed."""
    if not k.shape[-2]:
        return q.new_zeros(*q.shape[:-1], v.shape[-1])
    if derivatives == "higher":
        with full_precision(q):
            return plain(widened(q), widened(k), widened(v), mask, scale).to(v.dtype)
    if q.device.type == "cpu" and torch.is_grad_enabled() and _is_low(q):
        form = plain if k.shape[-2] <= PLAIN_UP_TO else fused
        return form(q, k, v, mask, scale)
    return fused(q, k, v, mask, scale)


def attend_causally(
    q: Float[Tensor, "batch heads length dim"],
    k: Float[Tensor, "batch heads length dim"],
    v: Float[Tensor, "batch heads length values"],
    *,
    scale: float | None = None,
) -> Float[Tensor, "batch heads length values"]:
    """Attention of each token to itself and what came before, without a mask in memory."""
    low = q.device.type == "cpu" and torch.is_grad_enabled() and _is_low(q)
    if low and q.shape[-2] <= PLAIN_UP_TO:
        return plain_causal(q, k, v, scale)
    return scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)


def attend_in_window(
    q: Float[Tensor, "batch heads length dim"],
    k: Float[Tensor, "batch heads length dim"],
    v: Float[Tensor, "batch heads length values"],
    *,
    window: int,
    causal: bool,
    scale: float | None = None,
) -> Float[Tensor, "batch heads length values"]:
    """Attention of each token to those less than `window` away, linear in the length.

    Blocks of `window` queries see their own block, the one before and, unless causal, the one
    behind.
    """
    length, sides = q.shape[2], 1 if causal else 2
    blocks = -(-length // window)
    q = pad(q, (0, 0, 0, blocks * window - length))
    around = (0, 0, window, (blocks + sides - 1) * window - length)
    size = (1 + sides) * window
    queries = q.unflatten(2, (blocks, window))
    keys, values = (pad(part, around).unfold(2, size, window).mT for part in (k, v))
    mask = _window_mask(length, blocks, window, size, causal=causal, device=q.device)
    mask = mask.repeat(len(q), 1, 1, 1)
    parts = (part.transpose(1, 2).flatten(0, 1) for part in (queries, keys, values))
    y = attend(*parts, mask=mask, scale=scale)
    y = y.unflatten(0, (-1, blocks)).transpose(1, 2).flatten(2, 3)
    return y[:, :, :length]


def _window_mask(
    length: int, blocks: int, window: int, size: int, *, causal: bool, device: torch.device
) -> Bool[Tensor, "blocks 1 window size"]:
    """What the queries of each block may see of the keys around it."""
    first = window * torch.arange(blocks, device=device)[:, None, None]
    query = first + torch.arange(window, device=device)[:, None]
    key = first - window + torch.arange(size, device=device)
    apart = query - key
    near = (apart < window) & (apart >= 0 if causal else apart > -window)
    return (near & (key >= 0) & (key < length))[:, None]


def fused(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, scale: float | None = None) -> Tensor:
    """Torch's fused kernel."""
    if mask is not None and mask.dtype is not torch.bool:
        mask = mask.to(q.dtype)
    return scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)


def plain(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None, scale: float | None = None) -> Tensor:
    """Two matrix products and a softmax; differentiable any number of times."""
    return weights(q, k, mask=mask, scale=scale).to(v.dtype) @ v


def plain_causal(q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
    """The same where each token sees itself and what came before."""
    scores = _scores(q, k, scale)
    # What is added leaves the gradient as it is; a mask would go over it once more.
    future = torch.full_like(scores[:1, :1], -torch.inf).triu(1)
    return (scores + future).softmax(-1).to(v.dtype) @ v


def weights(
    q: Float[Tensor, "batch heads length dim"],
    k: Float[Tensor, "batch heads keys dim"],
    *,
    mask: Mask = None,
    scale: float | None = None,
) -> Float[Tensor, "batch heads length keys"]:
    """The weights that attention gives to each key; a row sums to 1, or to 0 if it sees none."""
    scores = _scores(q, k, scale)
    if mask is None:
        return scores.softmax(-1)
    if mask.dtype is not torch.bool:
        scores = scores + mask
        mask = mask > -torch.inf
    # A finite floor and a second mask: a row that sees nothing has no NaN, backwards either.
    floor = torch.finfo(scores.dtype).min
    return scores.masked_fill(~mask, floor).softmax(-1).masked_fill(~mask, 0.0)


def _scores(q: Tensor, k: Tensor, scale: float | None) -> Tensor:
    """Scaled products of queries and keys; the queries are the smaller thing to scale."""
    return (q * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)) @ k.transpose(-2, -1)


def _is_low(q: Tensor) -> bool:
    return q.dtype is torch.bfloat16 or torch.is_autocast_enabled(q.device.type)
