"""What the gated and plain recurrent networks of torch share as layers on sequences.

The fused module of torch runs over a whole sequence; a linear map follows. Padding is kept out by
packing the tokens of each row.

Sources: the layers' own; torch.nn.
"""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from typing_extensions import override

from danlu.contracts import SequenceContext, State
from danlu.layers.alignment import moved, to_the_end
from danlu.mixers.base import Mixer, by_steps


class Cells(Mixer):
    """A recurrent network of torch.

    Args:
        dim: width of a token.
        states: number of hidden units; `dim` unless given.
    """

    forms = ("chunked", "recurrent")
    parts: ClassVar[tuple[str, ...]] = ("hidden",)
    module: ClassVar[Callable[..., nn.RNNBase]]
    function: ClassVar[Callable[..., tuple[Tensor, ...]]]

    def __init__(self, dim: int, *, states: int | None = None) -> None:
        super().__init__(dim)
        self.states = dim if states is None else states
        self.network = self.module(dim, self.states, batch_first=True)
        self.output = nn.Linear(self.states, dim)

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        if form == "recurrent" and x.shape[1] > 1:
            return by_steps(self, x, context, state)
        if state is None:
            state = {name: x.new_zeros(len(x), self.states) for name in self.parts}
        start = [state[name] for name in self.parts]
        if not x.shape[1]:
            return x, dict(zip(self.parts, start, strict=True))
        y, end = (
            self._run(x, start)
            if context.valid is None
            else self._packed_run(x, context.valid, start)
        )
        return self.output(y), dict(zip(self.parts, end, strict=True))

    def _run(self, x: Tensor, start: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        # torch's functions rather than the module, which assigns to itself and cannot be exported.
        first, weights = [part[None] for part in start], list(self.network.parameters())
        settings = (True, 1, 0.0, False, False, True)  # biases, layers, dropout, ..., batch first
        y, *end = self.function(x, first if len(first) > 1 else first[0], weights, *settings)
        return y, [part[0] for part in end]

    def _packed_run(
        self, x: Tensor, valid: Tensor, start: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        index, back = to_the_end(~valid)
        count = valid.sum(1)
        # A row without any token runs over one, and its result is thrown away.
        rows = pack_padded_sequence(
            moved(x, index), count.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        first = [part[None] for part in start]
        y, last = self.network(rows, first[0] if len(first) == 1 else tuple(first))
        end = [part[0] for part in ([last] if len(first) == 1 else last)]
        y, _ = pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
        some = (count > 0)[:, None]
        ends = [torch.where(some, new, old) for new, old in zip(end, start, strict=True)]
        return moved(y, back), ends
