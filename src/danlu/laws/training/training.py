"""Laws of training and of optimisers: resume, order, accumulation, averages, schedules."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from typing_extensions import override

from danlu.contracts import Progress
from danlu.laws.draws import seed
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Law, Rows, table
from danlu.laws.training.small_players import (
    WIDTH,
    OnePlayer,
    StopAfter,
    ThreePlayers,
    TwoPlayers,
    TwoStages,
    stream,
    trainer,
)
from danlu.training import Budget, Hook, Policy, Training
from danlu.training.learner import Learner
from danlu.training.play import gradients
from danlu.training.weights import snapshot

STEPS = 12
KINDS = {
    "one-player": OnePlayer,
    "two-player": TwoPlayers,
    "three-player": ThreePlayers,
    "two-stage": TwoStages,
}


def distance(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """Largest difference over all tensors of two models."""
    return gap(a, b)


# --- resume -----------------------------------------------------------------------------------


def _resume_error(kind: type[OnePlayer]) -> float:
    """A run stopped twice, in each half, against a straight one: weights and averages."""
    straight = trainer(kind, Budget(steps=STEPS))
    straight.run()
    with TemporaryDirectory() as name:
        for stop in (STEPS // 4, STEPS * 3 // 4, STEPS):
            resumed = trainer(kind, Budget(steps=STEPS), folder=Path(name), hooks=[StopAfter(stop)])
            resumed.run()
    worst = distance(snapshot(straight.model), snapshot(resumed.model))
    with straight.averaged() as a, resumed.averaged() as b:
        return largest(worst, distance(snapshot(a), snapshot(b)))


def _evaluation_error() -> float:
    """Drawing from the averaged model between rounds changes no bit of training."""
    plain = trainer(OnePlayer, Budget(steps=STEPS))
    watched = trainer(OnePlayer, Budget(steps=STEPS), hooks=[_Draws()])
    plain.run()
    watched.run()
    return distance(snapshot(plain.model), snapshot(watched.model))


class _Draws(Hook):
    @override
    def on_round(self, trainer: Training, progress: Progress) -> None:
        with trainer.averaged() as model, torch.no_grad():
            torch.manual_seed(seed())
            model.network(torch.randn(4, WIDTH, dtype=torch.float64))


# --- plays ------------------------------------------------------------------------------------


def _order_error() -> float:
    """Plays follow the declared order."""
    run = trainer(ThreePlayers, Budget(steps=STEPS))
    run.run()
    declared = [
        play.name for play in run.model.stages()[0].plays for _ in range(play.times)
    ] * STEPS
    assert len(run.model.played) == len(declared)
    return float(sum(a != b for a, b in zip(run.model.played, declared, strict=True)))


def _batch_error() -> float:
    """Every play gets the stream's next batch."""
    run = trainer(TwoPlayers, Budget(steps=STEPS))
    run.run()
    expected = stream()
    return largest(gap(fed, next(expected).index) for fed in run.model.fed)


def _rival_error() -> float:
    """A play leaves the rival's weights and gradients as they are."""
    run = trainer(TwoPlayers, Budget(steps=STEPS))
    run.begin()
    learners = run.course.active.learners
    batch = next(stream())
    progress = Progress(step=0, fraction=0.0, seed=1)
    before = snapshot(run.model.critic)
    for name in ("critic", "generator"):
        gradients(run.model, learners[name], batch, progress, policy=Policy(), parts=1)
    kept = [gradient.clone() for gradient in _gradients_of(learners["critic"])]
    gradients(run.model, learners["generator"], batch, progress, policy=Policy(), parts=1)
    learners["generator"].step(1.0, progress)
    moved = distance(before, snapshot(run.model.critic))
    now = _gradients_of(learners["critic"])
    return largest(moved, gap(now, kept))


def _frozen_error() -> float:
    """A player whose last stage is over keeps its averaged weights."""
    run = trainer(TwoStages, Budget(steps=STEPS))
    run.begin()
    for _ in range(STEPS // 2):
        run.round()
    with run.averaged() as model:
        trained = snapshot(model.network)
    run.run()
    with run.averaged() as model:
        averaged = snapshot(model.network)
    return largest(distance(trained, averaged), distance(trained, snapshot(run.model.network)))


def _accumulation_error() -> float:
    """Gradients and losses of uneven micro-batches equal those of the whole batch."""
    found = []
    for parts in (1, 3):
        run = trainer(OnePlayer, Budget(steps=1))
        run.begin()
        learner = run.course.active.learners["model"]
        progress = Progress(step=0, fraction=0.0, seed=1)
        gradients(run.model, learner, next(stream()), progress, policy=Policy(), parts=parts)
        assert learner.losses is not None
        found.append([*_gradients_of(learner), learner.losses.total])
    return largest(gap(a, b) for a, b in zip(*found, strict=True))


def _gradients_of(learner: Learner) -> list[Tensor]:
    return [weight.grad for weight in learner.weights if weight.grad is not None]


_LAWS: Rows = {
    "contract": [
        ("training/evaluation", 0.0, _evaluation_error),
        ("training/order", 0.0, _order_error),
        ("training/batches", 0.0, _batch_error),
        ("training/rival", 0.0, _rival_error),
        ("training/frozen", 0.0, _frozen_error),
    ],
    "self-consistency": [
        ("training/accumulation", 1e-12, _accumulation_error),
    ],
}

LAWS: list[Law] = [
    *table(_LAWS),
    *(
        Law(
            f"training/resume-{name}",
            f"{name} model: stopped and resumed steps equal straight steps, bit for bit",
            0.0,
            partial(_resume_error, kind),
            oracle="contract",
        )
        for name, kind in KINDS.items()
    ),
]
