"""Numbers that belong to the rows of a batch."""

from jaxtyping import Num
from torch import Tensor


def per_row(
    values: Num[Tensor, " #batch"], x: Num[Tensor, "batch ..."]
) -> Num[Tensor, "#batch ..."]:
    """One number for each row, shaped to multiply the rows of x."""
    return values.view(-1, *[1] * (x.dim() - 1))
