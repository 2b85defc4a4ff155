"""Buffers that a pass changes: a pass again begins with them as they were, and leaves no trace.

Power iterations of spectral norms move the very weights that are used, hence the second pass must
begin where the first one did; statistics of batch norms must not be counted twice.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase


class Buffers:
    """Those of some modules and all that they hold, around a first pass and passes again."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self.modules = [part for module in modules for part in module.modules() if part._buffers]
        self.before: list[tuple[nn.Module, dict[str, Tensor]]] = []

    @contextmanager
    def first(self) -> Iterator[None]:
        """What runs inside may change buffers; those that it has changed are remembered."""
        found = []
        for module in self.modules:
            present = {name: value for name, value in module._buffers.items() if value is not None}
            found.append((module, {n: (b, b.clone(), b._version) for n, b in present.items()}))
        try:
            yield
        finally:
            self.before = []
            for module, buffers in found:
                changed = {
                    name: copy
                    for name, (buffer, copy, version) in buffers.items()
                    if isinstance(module, _NormBase)  # its kernel counts no versions
                    or module._buffers.get(name) is not buffer
                    or buffer._version != version
                }
                if changed:
                    self.before.append((module, changed))

    @contextmanager
    def again(self) -> Iterator[None]:
        """What runs inside begins with the buffers as the first pass did, on copies."""
        now = [(module, dict(module._buffers)) for module, _ in self.before]
        for module, changed in self.before:
            module._buffers.update({name: copy.clone() for name, copy in changed.items()})
        try:
            yield
        finally:
            for module, buffers in now:
                module._buffers.update(buffers)
