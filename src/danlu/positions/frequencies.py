r"""Frequencies of the pairs of features, and what stretches them to longer sequences.

Python floats, not buffers: a model cast to bfloat16 would round buffers, and the angles with them.
"""


def geometric(dim: int, base: float = 10_000.0) -> tuple[float, ...]:
    """base^(-2i/dim) for the dim/2 pairs."""
    return tuple(base ** (-2 * pair / dim) for pair in range(dim // 2))
