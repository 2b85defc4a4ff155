"""One play: the gradients of one player on one batch, or on the part of it that is at hand."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from danlu.contracts import Batch, KeepsStatistics, Losses, Progress, derive_seed
from danlu.contracts.noise import part_of_batch
from danlu.training.learner import Learner
from danlu.training.policy import Policy
from danlu.training.processes import Processes
from danlu.training.trainable import Trainable


def seed(value: int, device: str) -> None:
    """Seed torch's global generators."""
    if device == "cpu":
        torch.default_generator.manual_seed(value)
    else:
        torch.manual_seed(value)


def gradients(
    model: Trainable,
    learner: Learner,
    batch: Batch,
    progress: Progress,
    *,
    policy: Policy,
    parts: int,
) -> None:
    """Leave the gradients of a batch at the player's weights and its losses with the player.

    A batch may be computed in parts; their losses, means over examples, are weighted by their
    share of the whole batch, so that gradients and losses of all parts, here and in other
    processes, add up to the whole's. No gradient reaches a rival: only the player's weights take
    part.
    """
    learner.zero()
    sums: Losses | None = None
    for part in [batch] if parts == 1 else batch.split(parts):
        share = part.rows.share
        with _draws(part, progress.seed, policy.device):
            with policy.precision():
                losses = model.loss(part, learner.name, progress)
            (losses.total * share).backward(inputs=learner.weights)
        sums = _add(sums, losses, share)
    learner.losses = sums


def add_up(learner: Learner, keepers: Iterable[KeepsStatistics], processes: Processes) -> None:
    """Make gradients, losses and stashed statistics those of the whole batch, everywhere."""
    assert learner.losses is not None
    sums = [learner.losses.total, *learner.losses.parts.values()]
    sums += [tensor for keeper in keepers for tensor in keeper.statistics()]
    processes.combine(learner.weights, sums)


def coupled(model: Trainable) -> list[str]:
    """What is said of a batch in parts whose examples belong together."""
    reasons = dict.fromkeys(filter(None, map(model.couples, model.players())))
    return [f"Of a batch in parts {reason}, in each part by itself." for reason in reasons]


@contextmanager
def _draws(batch: Batch, value: int, device: str) -> Iterator[None]:
    """What is drawn: all from one seed for a whole batch.

    A part draws its rows of the whole batch's noise; what does not come from there, such as
    dropout, is independent of that of other parts.
    """
    if batch.part is None:
        seed(value, device)
        yield
        return
    seed(derive_seed(value, "part", batch.part.first), device)
    with part_of_batch(batch.part, value):
        yield


def _add(whole: Losses | None, losses: Losses, share: float) -> Losses:
    total = losses.total.detach() * share
    parts = {name: part.detach() * share for name, part in losses.parts.items()}
    if whole is None:
        figures = {name: figure.detach() for name, figure in losses.figures.items()}
        return Losses(total, parts, figures)
    return Losses(
        whole.total + total,
        {name: whole.parts.get(name, 0.0) + part for name, part in parts.items()},
        whole.figures,
    )
