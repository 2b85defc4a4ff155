r"""ZLPR of a linear layer over very many classes, without the logits ever being whole.

For $s = W h + b$ the two log-sums of ZLPR are taken over pieces of the classes; the backward pass
computes each piece of the logits again. Right classes come as indices, so neither logits nor
targets of size batch × classes exist: memory is one piece and the gradients of the weights.

Source: kexue.fm/archives/7359 (the loss); the recomputation as in arXiv:2411.09009.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from danlu.contracts import DanluError
from danlu.losses.multilabel.log_sums import PIECE

NONE = -1
"""Index that stands for no class, to fill rows."""


class _LinearZLPR(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, right: Tensor) -> Tensor:
        wide = torch.promote_types(hidden.dtype, torch.float32)
        negative = torch.zeros(len(hidden), dtype=wide, device=hidden.device)
        positive = negative.clone()
        for part in _pieces(hidden, weight):
            s, is_right = _scores(hidden, weight[part], bias[part], right, part)
            negative = torch.logaddexp(negative, s.masked_fill(is_right, -torch.inf).logsumexp(1))
            positive = torch.logaddexp(
                positive, (-s).masked_fill(~is_right, -torch.inf).logsumexp(1)
            )
        ctx.save_for_backward(hidden, weight, bias, right, negative, positive)
        return negative + positive

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None]:
        hidden, weight, bias, right, negative, positive = ctx.saved_tensors
        grad_hidden = torch.zeros_like(hidden, dtype=grad.dtype)
        grad_weight, grad_bias = torch.empty_like(weight), torch.empty_like(bias)
        for part in _pieces(hidden, weight):
            s, is_right = _scores(hidden, weight[part], bias[part], right, part)
            pulled = -(-s - positive[:, None]).exp()
            slope = torch.where(is_right, pulled, (s - negative[:, None]).exp()) * grad[:, None]
            low = slope.to(weight.dtype)
            grad_hidden += low @ weight[part]
            grad_weight[part] = low.T @ hidden
            grad_bias[part] = slope.sum(0)
        return grad_hidden.to(hidden.dtype), grad_weight, grad_bias, None


def linear_zlpr(
    hidden: Float[Tensor, "batch features"],
    weight: Float[Tensor, "classes features"],
    bias: Float[Tensor, " classes"],
    right: Int[Tensor, "batch most"],
) -> Float[Tensor, " batch"]:
    """ZLPR of `hidden @ weight.T + bias` with the right classes of each row as indices.

    Args:
        hidden: input of the last layer.
        weight: its weight.
        bias: its bias.
        right: indices of the right classes, each at most once; rows are filled up with -1.

    Raises:
        DanluError: an index is no class, or stands twice in a row.
    """
    _check(right, len(weight))
    return _LinearZLPR.apply(hidden, weight, bias, right)  # type: ignore[return-value]


def _check(right: Tensor, classes: int) -> None:
    if not right.numel() or torch.compiler.is_compiling():
        return
    low, high = (int(bound) for bound in right.aminmax())
    if low < NONE or high >= classes:
        raise DanluError(f"Indices of {classes} classes, filled up with -1, got {low} to {high}.")
    ordered = right.sort(1).values
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NONE)).any():
        raise DanluError("A row names one of its right classes twice.")


def _pieces(hidden: Tensor, weight: Tensor) -> list[slice]:
    width = max(1, PIECE // max(len(hidden), 1))
    return [slice(first, min(first + width, len(weight)))
            for first in range(0, len(weight), width)]  # fmt: skip


def _scores(
    hidden: Tensor, weight: Tensor, bias: Tensor, right: Tensor, part: slice
) -> tuple[Tensor, Tensor]:
    """Logits of a piece of the classes, and which of them are right."""
    wide = torch.promote_types(hidden.dtype, torch.float32)
    s = torch.nn.functional.linear(hidden, weight, bias).to(wide)
    place = right - part.start
    inside = (place >= 0) & (place < s.shape[1])
    rows = torch.arange(len(s), device=s.device)[:, None].expand_as(place)
    is_right = torch.zeros(s.shape, dtype=torch.bool, device=s.device)
    is_right[rows[inside], place[inside]] = True
    return s, is_right
