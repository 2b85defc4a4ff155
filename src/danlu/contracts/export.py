"""What a model can hand out: functions of tensors alone, which run without danlu."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Port:
    """One tensor that goes in or comes out; its first axis is the batch.

    Attributes:
        about: what it is, in a line.
        low: smallest value that makes sense; None where there is none.
        high: largest value that makes sense.
    """

    about: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """A part of a model as a function of tensors.

    Attributes:
        about: what the part does, in a line.
        module: takes the inputs in their order and returns one tensor.
        inputs: name -> what it is.
        output: what comes out, on the scale of the data before any rounding to levels.
        example: n -> inputs of that batch size, like those of real use.
        facts: what else a sampler must know: numbers, words, lists and dictionaries.
    """

    about: str
    module: nn.Module
    inputs: Mapping[str, Port]
    output: Port
    example: Callable[[int], Sequence[Tensor]]
    facts: Mapping[str, Any] = field(default_factory=dict)
