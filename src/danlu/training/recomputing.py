"""Train within a memory budget: plan what is recomputed, from measured bytes and seconds.

The blocks of a model are the members of its module lists. Those that run once in a loss are
measured on the first batch of a stage and recomputed as far as the budget asks. Gradients stay
equal to the bit, so a run may be resumed with another budget.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from typing_extensions import override

from danlu.contracts import Batch, DanluError, Progress, Stage
from danlu.layers.recompute import (
    Recomputation,
    least_memory,
    measure,
    peak,
    plan,
    recompute,
    save_all,
)
from danlu.training.hooks import Hook, Training
from danlu.training.loop import Trainer

SLOTS = 4
"""Numbers kept per trained weight: its gradient, two moments of the optimiser, its average."""


class WithinMemory(Hook):
    """Recomputes just enough for a step to fit `memory` bytes.

    The budget covers weights, gradients, optimiser and activations; not the program itself
    (Python and torch take a few hundred MiB more).
    """

    def __init__(self, memory: float) -> None:
        self.memory = memory
        self.applied: list[Recomputation] = []

    @override
    def on_stage(self, trainer: Training, stage: Stage) -> None:
        assert isinstance(trainer, Trainer)
        self.close()
        stream, device = trainer.course.active.stream, trainer.policy.device
        before = stream.position
        batch = trainer.policy.take(next(stream), _dtype(trainer.model))
        stream.seek(before)
        gpus = range(torch.cuda.device_count()) if device.startswith("cuda") else []
        with torch.random.fork_rng(devices=gpus):
            for name in dict.fromkeys(play.name for play in stage.plays):
                largest = max(batch.split(trainer.plan.micro_batches), key=len)
                self._fit(trainer, name, largest)

    @override
    def close(self) -> None:
        for applied in self.applied:
            applied.remove()
        self.applied = []

    def _fit(self, trainer: Trainer, player: str, batch: Batch) -> None:
        model = cast(nn.Module, trainer.model)

        def run() -> Tensor:
            with trainer.policy.precision():
                return trainer.model.loss(
                    batch, player, Progress(step=0, fraction=0.0, seed=0)
                ).total

        blocks = [block for block in once(blocks_of(model), run) if _trains(block)]
        if not blocks:
            return
        costs = measure(blocks, run)
        rest = _fixed(model) + saved_bytes(model, run) - sum(c.saved + c.boundary for c in costs)
        cuts = range(len(blocks) + 1)
        least = rest + peak(costs, least_memory(costs, cuts=cuts))
        if least > self.memory:
            raise DanluError(
                f"A step of {player} needs {least / 2**20:,.0f} MiB at least, "
                f"{self.memory / 2**20:,.0f} are given; use a larger budget, a smaller batch "
                "(--set train.batch=N) or parts of one (--set train.micro_batches=N)."
            )
        segments = plan(costs, self.memory - rest, cuts=cuts)
        self.applied.append(recompute(blocks, segments))
        again = sum(segment.recompute for segment in segments)
        whole, now = (rest + peak(costs, s) for s in (save_all(len(costs)), segments))
        line = (
            f"{player}: {again} of {len(blocks)} blocks are recomputed in backward; about "
            f"{now / 2**20:,.0f} MiB instead of {whole / 2**20:,.0f}."
        )
        for hook in trainer.options.hooks:
            hook.on_notice(trainer, line)


def blocks_of(model: nn.Module) -> Iterator[nn.Module]:
    """The members of module lists, also of lists inside members."""
    for module in model.modules():
        if isinstance(module, nn.ModuleList):
            yield from (member for member in module if not isinstance(member, nn.ModuleList))


def once(blocks: Iterable[nn.Module], run: Callable[[], Any]) -> list[nn.Module]:
    """The blocks that `run` calls exactly once, in the order of the calls; the outer of two."""
    calls: list[nn.Module] = []
    handles = [
        block.register_forward_pre_hook(lambda module, _: calls.append(module)) for block in blocks
    ]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    found = [block for block in calls if calls.count(block) == 1]
    inner = {id(part) for block in found for part in block.modules() if part is not block}
    return [block for block in found if id(block) not in inner]


def saved_bytes(model: nn.Module, run: Callable[[], Any]) -> int:
    """Bytes that a forward keeps for backward, each storage once; the weights are left out."""
    storages: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    for parameter in model.parameters():
        storages.pop(parameter.untyped_storage().data_ptr(), None)
    return sum(storages.values())


def _fixed(model: nn.Module) -> int:
    """Bytes of weights, optimiser and averages; the blocks' gradients are in their plan."""
    trained = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    return sum(p.nbytes for p in model.parameters()) + (SLOTS - 1) * trained


def _trains(block: nn.Module) -> bool:
    return any(p.requires_grad for p in block.parameters())


def _dtype(model: Any) -> torch.dtype:
    return next((p.dtype for p in model.parameters()), torch.float32)


def memory_from(text: str) -> float:
    """Bytes of a size such as `2GB` or `500MB` (powers of 1,024).

    Raises:
        DanluError: it is no size.
    """
    units = {"KB": 2**10, "MB": 2**20, "GB": 2**30}
    number, unit = text[:-2], text[-2:].upper()
    try:
        size = float(number) * units[unit]
    except (KeyError, ValueError):
        size = 0.0
    if not 0 < size < float("inf"):
        raise DanluError(f"{text!r} is no size of memory; write it as 500MB or 2GB.")
    return size
