r"""Frequencies of the pairs of features, and what stretches them to longer sequences.

Python floats, not buffers: a model cast to bfloat16 would round buffers, and the angles with them.
"""

import math


def geometric(dim: int, base: float = 10_000.0) -> tuple[float, ...]:
    """base^(-2i/dim) for the dim/2 pairs."""
    return tuple(base ** (-2 * pair / dim) for pair in range(dim // 2))


def blended(theta: float, factor: float, kept: float) -> float:
    """A frequency of which a share is kept as it is and the rest divided."""
    return (1 - kept) * theta / factor + kept * theta


def by_turns(theta: float, factor: float, length: int, *, slow: float, fast: float) -> float:
    """A frequency kept from `fast` turns in the length of training, divided up to `slow` turns.

    Between them the share that is kept rises with the number of turns.
    """
    turns = length * theta / (2 * math.pi)
    return blended(theta, factor, min(1.0, max(0.0, (turns - slow) / (fast - slow))))
