"""What several processes and micro-batches rest on: the parts of a batch add up to the whole.

A loss that couples the examples of a batch says so, and then must not add up: what is declared is
held against what is found, both ways.
"""

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
Plays = Callable[[GenerativeModel], Iterable[tuple[str, Batch]]]


ROUNDING = 1e-9
"""Errors of parts that add up are below it in float64."""


class Found:
    """The largest errors of losses that are means over examples, and of those that couple them.

    Attributes:
        mean: of the first ones.
        coupled: reason -> of the others.
    """

    def __init__(self) -> None:
        self.mean = 0.0
        self.coupled: dict[str, float] = {}

    def take(self, model: GenerativeModel, name: str, error: float) -> None:
        """The error of a player's loss, where it belongs by the declaration."""
        if reason := model.couples(name):
            self.coupled[reason] = largest(self.coupled.get(reason, 0.0), error)
        else:
            self.mean = largest(self.mean, error)

    def error(self) -> float:
        """The error of the means, plus 1 for each declared coupling that shows nowhere."""
        idle = sum(not error > ROUNDING for error in self.coupled.values())
        return self.mean + idle


def parts_error(models: Iterable[GenerativeModel], plays: Plays, loss: Loss, seed: int) -> float:
    """Gradients, losses and stashed sums of each batch in two uneven parts, against the whole.

    Args:
        models: put in training mode.
        plays: players of a model with a batch of theirs, an odd number of examples.
        loss: seeds torch and gives the losses of a play.
        seed: with which `loss` seeds.
    """
    found = Found()
    for model in models:
        batches = list(plays(model))
        whole, divided = model.train(), deepcopy(model).train()
        for name, batch in batches:
            one = _sums(whole, name, batch, loss, seed)
            two = [_sums(divided, name, part, loss, seed) for part in batch.split(2)]
            added = [torch.stack(column).sum(0) for column in zip(*two, strict=True)]
            pairs = zip([*one, *_stashed(whole)], [*added, *_stashed(divided)], strict=True)
            found.take(model, name, largest(*(gap(a, b) for a, b in pairs)))
    return found.error()


def _sums(model: GenerativeModel, name: str, batch: Batch, loss: Loss, seed: int) -> list[Tensor]:
    """The losses and the gradients of a play, weighted by the share of the whole batch."""
    with part_of_batch(batch.part, seed) if batch.part else nullcontext():
        losses = loss(model, name, batch)
    share = batch.rows.share
    owned = [p for module in model.players()[name] for p in module.parameters()]
    slopes = torch.autograd.grad(share * losses.total, owned, materialize_grads=True)
    return [*(share * term.detach() for term in (losses.total, *losses.parts.values())), *slopes]


def _stashed(model: GenerativeModel) -> list[Tensor]:
    keepers = [m for m in model.modules() if isinstance(m, KeepsStatistics)]
    return [tensor for keeper in keepers for tensor in keeper.statistics()]
