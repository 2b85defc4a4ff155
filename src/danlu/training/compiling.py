"""`torch.compile` for a model's networks, with a way back to eager.

Each network is called through a function of its own: torch never compiles a container such as
`nn.Sequential` by itself, and keeps but a few graphs for one function, fewer than a flow has
networks.
"""

from collections.abc import Callable
from itertools import count
from types import FunctionType
from typing import Any, cast

import torch
from torch import nn

from danlu.training.trainable import Trainable

_NUMBERS = count()


class Compiled:
    """Calls a network through `torch.compile`, which happens at the first call.

    Attributes:
        used: whether the network was called.
    """

    def __init__(self, network: nn.Module, **options: Any) -> None:
        self.used = False
        self._call = torch.compile(_own_function(network), **options)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """What the network makes of them."""
        self.used = True
        return self._call(*arguments, **named)


class Compilation:
    """The compiled networks of a model; names of weights stay.

    Args:
        model: whose networks are compiled in place.
        options: of `torch.compile`.
    """

    def __init__(self, model: Trainable, **options: Any) -> None:
        self.networks = model.networks()
        self.calls = [Compiled(network, **options) for network in self.networks]
        for network, call in zip(self.networks, self.calls, strict=True):
            network._compiled_call_impl = cast(Any, call)

    def back_to_eager(self) -> None:
        """Undo it."""
        for network in self.networks:
            network._compiled_call_impl = None

    def idle(self) -> str:
        """What is said where no compiled network was called since the last time; else nothing."""
        used = [call for call in self.calls if call.used]
        for call in used:
            call.used = False
        return (
            ""
            if used
            else (
                "Nothing was compiled: the model names no networks that its losses call "
                "(`networks()`), so train.compile=true changes nothing."
            )
        )


def _own_function(network: nn.Module) -> Callable[..., Any]:
    """A function, with a code of its own, that calls the network as it is."""

    def call(*arguments: Any, **named: Any) -> Any:
        return network._call_impl(*arguments, **named)

    name = f"call_{next(_NUMBERS)}"
    code = call.__code__.replace(co_name=name)
    return FunctionType(code, call.__globals__, name, None, call.__closure__)
