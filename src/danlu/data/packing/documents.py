"""Documents in one flat array of tokens, whose lengths are counted and not estimated."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int, Num
from torch import Tensor

from danlu.contracts import DanluError
from danlu.data.packing.packer import Pack
from danlu.layers.packing import boundaries, check_boundaries


class Documents:
    """Tokens of all documents, one after the other, which may be mapped from a file.

    Args:
        tokens: ids, or rows of features such as patches; a tensor or an array.
        cu_seqlens: where documents begin and end.
    """

    def __init__(
        self, tokens: Num[Tensor, "total *features"] | np.ndarray, cu_seqlens: Int[Tensor, " ends"]
    ) -> None:
        self.lengths = check_boundaries(cu_seqlens, len(tokens))
        if not self.lengths:
            raise DanluError("There is no document.")
        self._tokens, self._ends = tokens, cu_seqlens.tolist()

    @classmethod
    def of(cls, documents: Sequence[Num[Tensor, "_ *features"]]) -> "Documents":
        """Single documents.

        Raises:
            DanluError: there is none.
        """
        if not documents:
            raise DanluError("There is no document.")
        lengths = tuple(len(document) for document in documents)
        return cls(torch.cat(list(documents)), boundaries(lengths))

    def __len__(self) -> int:
        """Number of documents."""
        return len(self.lengths)

    def read(self, packs: Sequence[Pack]) -> Num[Tensor, "1 total *features"]:
        """The tokens of packs in one row."""
        parts = []
        for pack in packs:
            for document, start, stop in pack:
                begin = self._ends[document]
                part = self._tokens[begin + start : begin + stop]
                # A slice of an array may belong to a file that is only read.
                parts.append(part if isinstance(part, Tensor) else torch.tensor(part))
        return torch.cat(parts)[None]
