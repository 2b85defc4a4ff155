"""What layers share whose recurrence is linear and the same at all times.

Their state is one tensor, `state["memory"]`. Zeros that enter an empty state leave it empty: hence
rows with padding run with their tokens moved to the end. Padding after a state is the rare case
that is done step by step.

Sources: the layers' own.
"""

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import SequenceContext, State
from danlu.layers.alignment import moved, to_the_end, zeroed
from danlu.mixers.base import Mixer

CHUNK = 32


class TimeInvariant(Mixer):
    """A linear recurrence that is the same for each token."""

    forms = ("chunked", "parallel", "fft", "recurrent")

    @abstractmethod
    def empty(self, x: Float[Tensor, "batch length dim"]) -> Float[Tensor, "batch *state"]:
        """The state before the first token."""

    @abstractmethod
    def respond(
        self, x: Float[Tensor, "batch length dim"], start: Float[Tensor, "batch *state"], form: str
    ) -> tuple[Float[Tensor, "batch length dim"], Float[Tensor, "batch *state"]]:
        """Outputs and the last state of at least one token, in any form but the recurrent one."""

    @abstractmethod
    def advance(
        self, x: Float[Tensor, "batch length dim"], start: Float[Tensor, "batch *state"]
    ) -> Float[Tensor, "batch length *state"]:
        """The states after each token, one after the other."""

    @abstractmethod
    def read(
        self, h: Float[Tensor, "batch length *state"], x: Float[Tensor, "batch length dim"]
    ) -> Float[Tensor, "batch length dim"]:
        """The outputs of states."""

    def finish(
        self, y: Float[Tensor, "batch length dim"], x: Float[Tensor, "batch length dim"]
    ) -> Float[Tensor, "batch length dim"]:
        """What follows the recurrence, token by token."""
        return y

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        start = self.empty(x) if state is None else state["memory"]
        if not x.shape[1]:
            return x, {"memory": start}
        if context.valid is None:
            y, memory = self._run(x, start, form)
        elif state is None:
            index, back = to_the_end(context.valid)
            y, memory = self._run(moved(zeroed(x, context.valid), index), start, form)
            y = moved(y, back)
        else:
            y, memory = self._in_padding(x, context.valid, start)
        return self.finish(y, x), {"memory": memory}

    def _run(self, x: Tensor, start: Tensor, form: str) -> tuple[Tensor, Tensor]:
        if form != "recurrent" and x.shape[1] > 1:
            return self.respond(x, start, form)
        h = self.advance(x, start)
        return self.read(h, x), h[:, -1]

    def _in_padding(self, x: Tensor, valid: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        x, outputs = zeroed(x, valid), []
        for index in range(x.shape[1]):
            token = x[:, index : index + 1]
            new = self.advance(token, h)
            outputs.append(self.read(new, token))
            kept = valid[:, index].reshape(-1, *[1] * (h.ndim - 1))
            h = torch.where(kept, new[:, 0], h)
        return torch.cat(outputs, dim=1), h
