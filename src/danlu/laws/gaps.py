"""Every comparison of the laws: an error is infinite wherever a number cannot be trusted.

All functions end in `_trusted`, so that a NaN, an infinity that nothing explains, another shape or
nothing at all to compare is an infinite error, which no tolerance allows.
"""

import math
from collections.abc import Callable, Iterable
from statistics import NormalDist
from typing import Any, SupportsFloat

import numpy as np
import torch
from scipy.stats import binom
from torch import Tensor
from torch.utils import _pytree as pytree

CHANCE = 1e-7
"""With which a law that holds fails at one seed, for laws of chance."""


def gap(found: Any, expected: Any) -> float:
    """Largest absolute difference of two nests of tensors or numbers, in float64.

    It is infinite where the nests or shapes differ, where either side holds a NaN, where an
    infinity does not meet the same infinity, and where there is nothing at all to compare. A
    plain number that is expected stands for a whole tensor of it.
    """
    return _over_leaves(found, expected, lambda a, b: _difference(a, b).max().item())


def relative_gap(found: Any, expected: Any) -> float:
    """`gap` of each tensor over the largest absolute value of the tensor that is expected."""
    return _over_leaves(found, expected, _over_scale)


def excess(found: Any, bound: Any) -> float:
    """How far anything that was found lies above its bound; below 0 where all lie below.

    Both must be finite: what is not a number, and log p = -inf, are below nothing.
    """
    return _over_leaves(found, bound, lambda a, b: (_finite(a) - _finite(b)).max().item())


def deviation(found: Any, expected: Any, spread: Any) -> float:
    """Largest distance in standard errors; where there is no spread, any distance is infinite.

    Compare with `sigmas`.
    """

    def one(difference: Tensor, spread: Tensor) -> float:
        usable = spread.isfinite() & (spread >= 0)
        none = (spread == 0) & (difference == 0)
        errors = torch.where(none, 0.0, difference / spread)
        return torch.where(usable, errors, torch.inf).max().item()

    ours, theirs = _leaves(found, expected)
    differences = [_difference(a, b) for a, b in zip(ours, theirs, strict=True)]
    return _over_leaves(differences, pytree.tree_leaves(spread), one)


def rarity(counts: Any, draws: int, chances: Any) -> float:
    """How rare the rarest of counts is, in standard errors of a normal number that is as rare.

    Exact for any chance, by the tails of the binomial law; compare with `sigmas`.

    Args:
        counts: how often each thing happened.
        draws: how many there were, independent of one another.
        chances: of each.
    """

    def one(found: Tensor, p: Tensor) -> float:
        k, chance = _finite(found).numpy(), _finite(p).numpy()
        if ((chance < 0) | (chance > 1)).any():
            return math.inf
        tail = np.minimum(binom.cdf(k, draws, chance), binom.sf(k - 1, draws, chance)).min()
        # Of a NaN no tail is above 0; a count that is certain has a tail of 1.
        return -NormalDist().inv_cdf(min(tail, 0.5)) if tail > 0 else math.inf

    return _over_leaves(counts, chances, one)


def sigmas(count: int = 1) -> float:
    """The standard errors that the largest of `count` deviations passes with `CHANCE`."""
    return -NormalDist().inv_cdf(CHANCE / (2 * count))


def largest(*errors: SupportsFloat | Iterable[SupportsFloat]) -> float:
    """The largest of errors, one by one or in iterables; infinite if one is, or there is none.

    The builtin `max` forgets a NaN that does not come first.
    """
    numbers = [
        float(error)
        for each in errors
        for error in (each if isinstance(each, Iterable) else (each,))
    ]
    return _trusted(max(numbers) if numbers and all(map(math.isfinite, numbers)) else None)


def _trusted(error: float | None) -> float:
    return math.inf if error is None or not math.isfinite(error) else float(error)


def _over_leaves(found: Any, expected: Any, measure: Callable[[Tensor, Tensor], Any]) -> float:
    ours, theirs = _leaves(found, expected)
    if any(a.shape != b.shape for a, b in zip(ours, theirs, strict=True)):
        return _trusted(None)
    errors = [float(measure(a, b)) for a, b in zip(ours, theirs, strict=True) if a.numel()]
    return largest(errors)


def _leaves(found: Any, expected: Any) -> tuple[list[Tensor], list[Tensor]]:
    """The tensors of two nests; of different nests one that fits nothing."""
    ours, spec = pytree.tree_flatten(found)
    theirs, other = pytree.tree_flatten(expected)
    if spec != other:
        return [torch.zeros(1)], [torch.full((1,), torch.nan)]
    wide = [_wide(leaf) for leaf in ours]
    return wide, [_like(leaf, a) for leaf, a in zip(theirs, wide, strict=True)]


def _like(leaf: Any, ours: Tensor) -> Tensor:
    return torch.full_like(ours, leaf) if isinstance(leaf, int | float) else _wide(leaf)


def _wide(leaf: Any) -> Tensor:
    tensor = torch.as_tensor(leaf).detach()
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)


def _difference(ours: Tensor, theirs: Tensor) -> Tensor:
    """Of each number; NaN where one is NaN or infinities differ, and for other shapes."""
    if ours.shape != theirs.shape:
        return torch.full((1,), torch.nan, dtype=torch.float64)
    # Equal infinities have no difference.
    difference = torch.where(ours == theirs, 0.0, (ours - theirs).abs())
    return torch.where(difference.isfinite(), difference, torch.nan)


def _finite(x: Tensor) -> Tensor:
    return torch.where(x.isfinite(), x, torch.nan)


def _over_scale(ours: Tensor, theirs: Tensor) -> float:
    difference, scale = _difference(ours, theirs).max().item(), theirs.abs().max().item()
    return difference / scale if scale else difference and math.inf
