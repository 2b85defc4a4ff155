"""One play: the gradients of one player on one batch."""

from collections.abc import Iterator

import torch

from danlu.contracts import Batch, Losses, Progress
from danlu.training.learner import Learner
from danlu.training.policy import Policy
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

    A batch may be computed in parts; their losses, means over examples, are averaged by size.
    No gradient reaches a rival: only the player's weights take part.
    """
    seed(progress.seed, policy.device)
    learner.zero()
    whole: Losses | None = None
    for part, share in _split(batch, parts):
        with policy.precision():
            losses = model.loss(part, learner.name, progress)
        (losses.total * share if parts > 1 else losses.total).backward(inputs=learner.weights)
        whole = _add(whole, losses, share)
    learner.losses = whole


def _split(batch: Batch, parts: int) -> Iterator[tuple[Batch, float]]:
    if parts == 1:
        yield batch, 1.0
        return
    conditions = [None] * parts if batch.condition is None else batch.condition.tensor_split(parts)
    columns = (batch.x.tensor_split(parts), conditions, batch.index.tensor_split(parts))
    for x, condition, index in zip(*columns, strict=True):
        if len(x):
            yield Batch(x, condition, index), len(x) / len(batch)


def _add(whole: Losses | None, losses: Losses, share: float) -> Losses:
    total = losses.total.detach() * share
    parts = {name: part.detach() * share for name, part in losses.parts.items()}
    if whole is None:
        return Losses(total, parts)
    return Losses(
        whole.total + total,
        {name: whole.parts.get(name, 0.0) + part for name, part in parts.items()},
    )
