"""The frame of mixers that are recurrences: rows with padding on the right, and three forms.

A member says in `recur` what its queries, keys, values and decays are, and calls a scan of
`danlu.layers.scans`. Left padding is moved to the right before, and back after.

Sources: arXiv:2405.21060 §6 (one recurrence in several forms).
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Num, Shaped
from torch import Tensor
from typing_extensions import override

from danlu.contracts import SequenceContext, State
from danlu.layers.scans import Run
from danlu.mixers.base import Mixer


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """What a recurrence is told of its rows.

    Attributes:
        positions: of each token.
        run: the form of the scan, and padding on the right.
        lengths: number of valid tokens of each row; None where there is no padding.
    """

    positions: Num[Tensor, "batch length *axes"]
    run: Run
    lengths: Int[Tensor, " batch"] | None = None


class Recurrence(Mixer):
    """A mixer whose members implement `recur`."""

    forms: tuple[str, ...] = ("chunked", "parallel", "recurrent")

    @abstractmethod
    def recur(
        self, x: Float[Tensor, "batch length dim"], rows: Rows, state: State
    ) -> tuple[Float[Tensor, "batch length dim"], State]:
        """The layer on rows with padding on the right alone; `state` is {} at the start."""

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        assert context.positions is not None
        state = {} if state is None else state
        if context.valid is None:
            return self.recur(x, Rows(positions=context.positions, run=Run(form=form)), state)
        order = context.valid.logical_not().to(torch.int8).argsort(dim=1, stable=True)
        rows = Rows(
            positions=taken(context.positions, order),
            run=Run(form=form, valid=taken(context.valid, order)),
            lengths=context.valid.sum(1),
        )
        y, state = self.recur(taken(x, order), rows, state)
        return taken(y, order.argsort(dim=1)), state


def taken(
    x: Shaped[Tensor, "batch length *axes"], order: Int[Tensor, "batch length"]
) -> Shaped[Tensor, "batch length *axes"]:
    """The tokens of each row in another order."""
    return torch.take_along_dim(x, order.reshape(*order.shape, *[1] * (x.ndim - 2)), dim=1)


def merge_heads(
    x: Float[Tensor, "batch heads length dim"],
) -> Float[Tensor, "batch length width"]:
    """The heads side by side."""
    return x.transpose(1, 2).flatten(2)
