r"""The two log-sums behind ZLPR, in one pass over the classes and with next to nothing kept.

$L_- = \log(e^{f} + \sum_i (1 - t_i)\, e^{s_i}), \qquad
L_+ = \log(e^{f} + \sum_i t_i\, e^{-s_i}),$

with f = 0 (the threshold class) or f = −∞ (none). Weights enter as $\log t$ and
$\log(1 - t)$ with a true $-\infty$, so that no large constant can overflow or turn a masked
logit into a large one. The classes are taken in pieces: beside logits and targets only $L_\pm$
are kept for the gradient

$\partial L_- / \partial s_i = (1 - t_i)\, e^{s_i - L_-}, \qquad
\partial L_+ / \partial s_i = -t_i\, e^{-s_i - L_+},$

which is again made of differentiable operations.
"""

import math
from typing import Any

import torch
from torch import Tensor

PIECE = 1 << 18
"""Numbers taken at a time."""


class _LogSums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, targets: Tensor, mask: Tensor | None, first: float
    ) -> tuple[Tensor, Tensor]:
        shape = (len(logits),)
        negative = torch.full(shape, first, dtype=targets.dtype, device=logits.device)
        positive = negative.clone()
        for part in pieces(logits):
            below, above = _exponents(logits[:, part], targets[:, part], _cut(mask, part))
            negative = torch.logaddexp(negative, below.logsumexp(1))
            positive = torch.logaddexp(positive, above.logsumexp(1))
        ctx.save_for_backward(logits, targets, mask, negative, positive)
        return negative, positive

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad_negative: Tensor, grad_positive: Tensor
    ) -> tuple[Tensor, None, None, None]:
        logits, targets, mask, negative, positive = ctx.saved_tensors
        lowest = torch.finfo(targets.dtype).min  # an empty sum has no member to divide
        negative, positive = negative.clamp_min(lowest), positive.clamp_min(lowest)
        parts = []
        for part in pieces(logits):
            below, above = _exponents(logits[:, part], targets[:, part], _cut(mask, part))
            slope = (below - negative[:, None]).exp() * grad_negative[:, None]
            slope = slope - (above - positive[:, None]).exp() * grad_positive[:, None]
            parts.append(slope.to(logits.dtype))
        return torch.cat(parts, 1) if parts else torch.zeros_like(logits), None, None, None


def log_sums(
    logits: Tensor, targets: Tensor, mask: Tensor | None, *, threshold: bool
) -> tuple[Tensor, Tensor]:
    """L_- and L_+ of each row of `[batch, classes]`; with the threshold class or without."""
    first = 0.0 if threshold else -math.inf
    return _LogSums.apply(logits, targets, mask, first)  # type: ignore[return-value]


def pieces(logits: Tensor) -> list[slice]:
    """The classes in pieces of about `PIECE` numbers."""
    rows, classes = logits.shape
    width = max(1, PIECE // max(rows, 1))
    return [slice(first, first + width) for first in range(0, classes, width)]


def _exponents(logits: Tensor, targets: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    s = logits.to(targets.dtype)
    # A score of -inf leaves a class out, which 0 times infinity would not.
    below = torch.where(targets < 1, torch.log1p(-targets) + s, -math.inf)
    above = torch.where(targets > 0, targets.log() - s, -math.inf)
    if mask is not None:
        below, above = below.masked_fill(~mask, -math.inf), above.masked_fill(~mask, -math.inf)
    return below, above


def _cut(mask: Tensor | None, part: slice) -> Tensor | None:
    return None if mask is None else mask[:, part]
