"""What several processes and micro-batches rest on: the parts of a batch add up to the whole."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from copy import deepcopy

import torch
from torch import Tensor

from danlu.contracts import Batch, KeepsStatistics, Losses
from danlu.contracts.noise import part_of_batch
from danlu.generative.base import GenerativeModel
from danlu.laws.gaps import gap, largest

Loss = Callable[[GenerativeModel, str, Batch], Losses]


def parts_error(
    model: GenerativeModel, plays: Iterable[tuple[str, Batch]], loss: Loss, seed: int
) -> float:
    """Gradients, loss and stashed sums of each batch in two uneven parts, against the whole.

    Args:
        model: put in training mode.
        plays: players with a batch of theirs, an odd number of examples.
        loss: seeds torch and gives the losses of a play.
        seed: with which `loss` seeds.
    """
    worst = 0.0
    whole, divided = model.train(), deepcopy(model).train()
    for name, batch in plays:
        one = _sums(whole, name, batch, loss, seed)
        two = [_sums(divided, name, part, loss, seed) for part in batch.split(2)]
        added = [torch.stack(column).sum(0) for column in zip(*two, strict=True)]
        pairs = zip([*one, *_stashed(whole)], [*added, *_stashed(divided)], strict=True)
        worst = largest(worst, *(gap(a, b) for a, b in pairs))
    return worst


def _sums(model: GenerativeModel, name: str, batch: Batch, loss: Loss, seed: int) -> list[Tensor]:
    """The loss and the gradients of a play, weighted by the share of the whole batch."""
    with part_of_batch(batch.part, seed) if batch.part else nullcontext():
        total = batch.rows.share * loss(model, name, batch).total
    owned = [p for module in model.players()[name] for p in module.parameters()]
    return [total.detach(), *torch.autograd.grad(total, owned, materialize_grads=True)]


def _stashed(model: GenerativeModel) -> list[Tensor]:
    keepers = [m for m in model.modules() if isinstance(m, KeepsStatistics)]
    return [tensor for keeper in keepers for tensor in keeper.statistics()]
