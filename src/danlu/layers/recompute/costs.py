"""What a chain of blocks costs: bytes that backward needs, bytes of a boundary, seconds."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils import _pytree as pytree

from danlu.contracts import DanluError


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Of one block.

    Attributes:
        saved: bytes that it keeps for backward beside its input, parameters excluded.
        boundary: bytes of its input.
        seconds: of its forward.
        gradients: bytes of its parameters' gradients, there once its backward has run.
        work: bytes of the largest gradient inside it while its backward runs.
    """

    saved: int
    boundary: int
    seconds: float = 1.0
    gradients: int = 0
    work: int = 0


def measure(blocks: Iterable[nn.Module], run: Callable[[], Any], *, rounds: int = 3) -> list[Cost]:
    """Costs of blocks in the order of the list, measured while `run()` runs the model.

    Args:
        blocks: each must be called exactly once by `run`.
        run: a forward with gradients, such as the model's loss on a batch.
        rounds: seconds are the median of so many.

    Raises:
        ValueError: a block was not called once.
    """
    seen = [_Watch(block) for block in blocks]
    try:
        for _ in range(rounds):
            for watch in seen:
                watch.calls = 0
            run()
            for index, watch in enumerate(seen):
                if watch.calls != 1:
                    raise DanluError(
                        f"block {index} ran {watch.calls} times in a forward, not once; "
                        "it cannot be planned."
                    )
    finally:
        for watch in seen:
            watch.remove()
    return [watch.cost() for watch in seen]


class _Watch:
    """Counts what one block saves, each storage once, its input and parameters left out."""

    def __init__(self, block: nn.Module) -> None:
        self.calls = 0
        self.seconds: list[float] = []
        self.boundary = 0
        self.storages: dict[int, int] = {}
        self.gradients = sum(p.nbytes for p in block.parameters() if p.requires_grad)
        self.known = {p.untyped_storage().data_ptr() for p in block.parameters()}
        self.arguments: set[int] = set()
        self.started = 0.0
        self.hooks: saved_tensors_hooks | None = None
        self.handles = [
            block.register_forward_pre_hook(self._enter, with_kwargs=True),
            block.register_forward_hook(self._leave, with_kwargs=True),
        ]

    def _enter(self, _: nn.Module, inputs: tuple, named: dict) -> None:
        self.storages = {}
        self.arguments = set(_storages((inputs, named)))
        self.boundary = sum(_storages(inputs[0]).values())
        # What is packed is kept alive until backward, as the block itself would.
        self.hooks = saved_tensors_hooks(self._pack, lambda packed: packed)
        self.hooks.__enter__()
        self.started = time.perf_counter()

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        pointer = storage.data_ptr()
        if pointer not in self.known and pointer not in self.arguments:
            self.storages[pointer] = storage.nbytes()
        return tensor

    def _leave(self, _: nn.Module, __: tuple, ___: dict, output: Any) -> None:
        self.seconds.append(time.perf_counter() - self.started)
        assert self.hooks is not None
        self.hooks.__exit__(None, None, None)
        # The output is the next block's boundary.
        for pointer in _storages(output):
            self.storages.pop(pointer, None)
        self.calls += 1

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def cost(self) -> Cost:
        return Cost(
            saved=sum(self.storages.values()),
            boundary=self.boundary,
            seconds=median(self.seconds),
            gradients=self.gradients,
            work=max(self.storages.values(), default=0),
        )


def _storages(value: Any) -> dict[int, int]:
    leaves = (leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor))
    storages = (leaf.untyped_storage() for leaf in leaves)
    return {storage.data_ptr(): storage.nbytes() for storage in storages}
