"""Documents one after the other in one row, and the same documents as padded rows.

`cu_seqlens` holds the boundaries, `[0, end of first, ..., total]`; a document may be empty.
"""

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from danlu.contracts import DanluError


def check_boundaries(cu_seqlens: Int[Tensor, " boundaries"], total: int) -> None:
    """Refuse boundaries that do not cut `total` tokens into documents.

    Raises:
        DanluError: they do not start at 0, decrease, or end elsewhere.
    """
    if len(cu_seqlens) < 1 or int(cu_seqlens[0]) or int(cu_seqlens[-1]) != total:
        raise DanluError(f"cu_seqlens must go from 0 to {total}, got {cu_seqlens.tolist()[:8]}.")
    if bool((cu_seqlens.diff() < 0).any()):
        raise DanluError(f"cu_seqlens must not decrease, got {cu_seqlens.tolist()[:8]}.")


def document_ids(cu_seqlens: Int[Tensor, " boundaries"], total: int) -> Int[Tensor, " total"]:
    """The number of the document of each token."""
    token = torch.arange(total, device=cu_seqlens.device)
    return torch.bucketize(token, cu_seqlens[1:], right=True)


def padded_rows(
    cu_seqlens: Int[Tensor, " boundaries"],
) -> tuple[Int[Tensor, "documents longest"], Bool[Tensor, "documents longest"]]:
    """The token in each cell of the padded rows, and whether the cell holds one."""
    lengths = cu_seqlens.diff()
    longest = int(lengths.max()) if len(lengths) else 0
    cell = torch.arange(longest, device=cu_seqlens.device)
    valid = cell < lengths[:, None]
    token = (cu_seqlens[:-1, None] + cell).masked_fill(~valid, 0)
    return token, valid


def unpack(
    x: Shaped[Tensor, "1 total *axes"],
    token: Int[Tensor, "documents longest"],
    valid: Bool[Tensor, "documents longest"],
) -> Shaped[Tensor, "documents longest *axes"]:
    """Padded rows with zeros in the padding."""
    rows = x[0][token]
    return rows.masked_fill(~valid.reshape(*valid.shape, *[1] * (rows.ndim - 2)), 0)


def pack(
    rows: Shaped[Tensor, "documents longest *axes"], valid: Bool[Tensor, "documents longest"]
) -> Shaped[Tensor, "1 total *axes"]:
    """The valid cells of padded rows, one after the other."""
    return rows[valid][None]
