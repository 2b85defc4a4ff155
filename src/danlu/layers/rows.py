"""Values that belong to the rows of a batch."""

from jaxtyping import Shaped
from torch import Tensor


def per_row(
    values: Shaped[Tensor, " #batch"], x: Shaped[Tensor, "batch ..."]
) -> Shaped[Tensor, "#batch ..."]:
    """One value for each row, a number or a flag, shaped like the rows of x."""
    return values.view(-1, *[1] * (x.dim() - 1))
