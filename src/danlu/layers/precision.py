"""What half precision must not round: constants, dynamics, angles and sums over many tokens.

Weights and tokens may be of half precision, or products under autocast. What is raised to powers,
multiplied by positions or added up over a sequence is kept in float32 or wider: an error there
grows with the length.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override


def wide(x: Tensor) -> torch.dtype:
    """The type of x, but float32 at least."""
    return torch.promote_types(x.dtype, torch.float32)


def widened(x: Tensor) -> Tensor:
    """The same numbers in float32 at least."""
    return x.to(wide(x))


def full_precision(x: Tensor) -> AbstractContextManager:
    """Products inside are of the type of their factors, whatever autocast says."""
    device = x.device.type
    if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
        return nullcontext()
    return torch.autocast(device, enabled=False)


class WideConstants(nn.Module):
    """A module whose own buffers stay in float32 at least where its weights go to half precision.

    They are constants of a method (decays, matrices, frequencies): `model.bfloat16()` would round
    them, and powers of them with a growing error.
    """

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        before: dict[str, Any] = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)
        for name, old in before.items():
            new = self._buffers[name]
            if new is not None and new.is_floating_point() and new.dtype is not wide(new):
                self._buffers[name] = old.to(device=new.device, dtype=wide(new))
        return self
