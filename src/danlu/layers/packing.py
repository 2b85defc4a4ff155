"""Documents one after the other in one row, and the same documents as padded rows.

`cu_seqlens` holds the boundaries, `[0, end of first, ..., total]`; a document may be empty.
"""

from itertools import accumulate, pairwise

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from danlu.contracts import DanluError

DENSE = 0.95
"""Padded rows with at least this share of tokens are left as they are."""


def check_boundaries(cu_seqlens: Int[Tensor, " boundaries"], total: int) -> tuple[int, ...]:
    """The lengths of the documents.

    Raises:
        DanluError: the boundaries do not start at 0, decrease, or end elsewhere.
    """
    ends = cu_seqlens.tolist()
    if not ends or ends[0] or ends[-1] != total:
        raise DanluError(f"cu_seqlens must go from 0 to {total}, got {ends[:8]}.")
    lengths = tuple(after - before for before, after in pairwise(ends))
    if any(length < 0 for length in lengths):
        raise DanluError(f"cu_seqlens must not decrease, got {ends[:8]}.")
    return lengths


def boundaries(
    lengths: tuple[int, ...], device: torch.device | None = None
) -> Int[Tensor, " boundaries"]:
    """The boundaries of documents of these lengths."""
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)


def nearly_full(lengths: tuple[int, ...]) -> bool:
    """Whether padded rows of these lengths hold hardly any padding."""
    return sum(lengths) >= DENSE * len(lengths) * max(lengths, default=0)


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
    if not x.shape[1]:
        return x.new_zeros(*valid.shape, *x.shape[2:])
    rows = x[0].index_select(0, token.reshape(-1)).unflatten(0, token.shape)
    return rows.masked_fill(~valid.reshape(*valid.shape, *[1] * (rows.ndim - 2)), 0)


def pack(
    rows: Shaped[Tensor, "documents longest *axes"], valid: Bool[Tensor, "documents longest"]
) -> Shaped[Tensor, "1 total *axes"]:
    """The valid cells of padded rows, one after the other."""
    cells = valid.flatten().nonzero()[:, 0]
    return rows.flatten(0, 1).index_select(0, cells)[None]


def restore(
    x: Shaped[Tensor, "1 total *axes"], valid: Bool[Tensor, "documents longest"]
) -> Shaped[Tensor, "documents longest *axes"]:
    """What `pack` took, in its cells, which may stand anywhere in a row; zeros in the others."""
    cells = valid.flatten().nonzero()[:, 0]
    empty = x.new_zeros(valid.numel(), *x.shape[2:])
    return empty.index_copy(0, cells, x[0]).unflatten(0, valid.shape)
