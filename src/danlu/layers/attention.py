r"""Scaled dot-product attention, $\mathrm{softmax}(q k^\top / \sqrt d)\, v$, in its best form.

Two forms of one function. `fused` is torch's kernel; `plain` is two products and a softmax.
On the CPU the fused backward in bfloat16 loses to the plain form at short lengths, and the fused
kernel has neither forward-mode nor double backward, which Jacobian products and gradient
penalties need.

Sources: arXiv:1706.03762 eq. 1.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

Derivatives = Literal["first", "higher"]

PLAIN_UP_TO = 512
"""Longest sequence at which the plain form wins in bfloat16 training on the CPU."""


def attend(
    q: Float[Tensor, "batch heads length dim"],
    k: Float[Tensor, "batch heads keys dim"],
    v: Float[Tensor, "batch heads keys values"],
    *,
    derivatives: Derivatives = "first",
) -> Float[Tensor, "batch heads length values"]:
    """Attention in the form that suits device, type, length and the derivatives needed."""
    if derivatives == "higher":
        with _full_precision(q.device.type):
            return plain(q.to(_wide(q)), k.to(_wide(k)), v.to(_wide(v))).to(v.dtype)
    if q.device.type == "cpu" and torch.is_grad_enabled() and _is_low(q):
        return plain(q, k, v) if k.shape[-2] <= PLAIN_UP_TO else fused(q, k, v)
    return fused(q, k, v)


def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Torch's fused kernel."""
    return scaled_dot_product_attention(q, k, v)


def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Two matrix products and a softmax; differentiable any number of times."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    return scores.softmax(-1).to(v.dtype) @ v


def _is_low(q: Tensor) -> bool:
    return q.dtype is torch.bfloat16 or torch.is_autocast_enabled(q.device.type)


def _wide(q: Tensor) -> torch.dtype:
    return torch.promote_types(q.dtype, torch.float32)


def _full_precision(device: str) -> AbstractContextManager:
    lowered = torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if lowered else nullcontext()
