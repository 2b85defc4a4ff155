"""The one comparison of the laws: a gap that is infinite wherever a number cannot be trusted."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


def gap(found: Any, expected: Any) -> float:
    """Largest absolute difference of two nests of tensors or numbers, in float64.

    It is infinite where the nests or shapes differ, where either side holds a NaN, where an
    infinity does not meet the same infinity, and where there is nothing at all to compare.
    """
    return _largest(found, expected, lambda difference, _: difference)


def relative_gap(found: Any, expected: Any) -> float:
    """`gap` of each tensor over the largest absolute value of the tensor that is expected."""
    return _largest(found, expected, _over_scale)


def _largest(found: Any, expected: Any, measure: Any) -> float:
    ours, spec = pytree.tree_flatten(found)
    theirs, other = pytree.tree_flatten(expected)
    if spec != other:
        return math.inf
    pairs = [(_wide(a), _wide(b)) for a, b in zip(ours, theirs, strict=True)]
    if any(a.shape != b.shape for a, b in pairs) or not any(a.numel() for a, _ in pairs):
        return math.inf
    return max(_one(a, b, measure) for a, b in pairs if a.numel())


def _one(ours: Tensor, theirs: Tensor, measure: Any) -> float:
    # Equal infinities have no difference; what is still NaN was NaN, or infinities that differ.
    difference = torch.where(ours == theirs, 0.0, (ours - theirs).abs())
    if not bool(difference.isfinite().all()):
        return math.inf
    return float(measure(difference.max().item(), theirs))


def _over_scale(difference: float, theirs: Tensor) -> float:
    scale = theirs.abs().max().item()
    return difference / scale if scale else difference and math.inf


def _wide(leaf: Any) -> Tensor:
    tensor = torch.as_tensor(leaf).detach()
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)
