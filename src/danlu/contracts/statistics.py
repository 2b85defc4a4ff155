"""Statistics that a module gathers in its forward pass and uses after the step."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class KeepsStatistics(Protocol):
    """A module that stashes sums over examples in `forward`, for `after_step` to take in.

    With several processes each of them sees a part of the batch. After a play the trainer adds up
    what `statistics()` gives over all processes, in place, and then calls `after_step`: so the
    module sees the sums of the whole batch, whatever the number of processes. What is stashed must
    therefore be additive (counts, sums, sums of squares; no means), detached, floating, of the same
    number and shapes in every process, and it must add up over forward passes, since a batch may
    come in parts. Any submodule of a model may have it.
    """

    def statistics(self) -> Sequence[Tensor]:
        """The sums stashed since the last step; nothing where there was no pass in training."""
        ...
