"""The course of a run through its stages: start, transitions, last touches, what is saved."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import cast

import torch
from torch import nn

from danlu.contracts import Batch, DanluError, Stream, derive_seed
from danlu.optim.plan import Plan
from danlu.training import prepared
from danlu.training.active import ActiveStage, check_stages
from danlu.training.budget import Budget, Clock, ReplayClock, Spent
from danlu.training.checkpoint import Checkpoint, Meta
from danlu.training.hooks import TrainingRun
from danlu.training.log import replayed
from danlu.training.play import seed
from danlu.training.policy import Policy
from danlu.training.trainable import Trainable
from danlu.training.weights import require_fit, restore, snapshot

FINISH_BATCHES = 50
"""Batches of the data that a model gets for its last touches."""


class Course:
    """A model on its way through its stages.

    When a stage ends, the model gets its last touches on the averaged weights, and the next
    stage prepares its data with them. Players with no later turn keep their averages. What lies
    between the steps sees whole batches in every process; then all take the leader's weights.

    Attributes:
        active: the stage that trains now.
        finished: whether the last stage has ended.
    """

    active: ActiveStage

    def __init__(
        self,
        model: Trainable,
        stream: Stream,
        plan: Plan,
        budget: Budget,
        *,
        run: TrainingRun,
        policy: Policy,
    ) -> None:
        self.model = model
        self.root = cast(nn.Module, model)
        self.stream = stream
        self.plan = plan
        self.budget = budget
        self.run = run
        self.policy = policy
        self._processes = run.processes
        self.stages = check_stages(model)
        self.finished = False
        self._replay = None if run.replay is None else replayed(run.replay)
        self._clock(0, Spent())  # a budget too short for the stages is refused at once
        self._before: tuple[Spent, ...] = ()
        self._final_buffers: dict[str, torch.Tensor] = {}
        self._dtype = next((p.dtype for p in self.root.parameters()), torch.float32)

    @property
    def spent(self) -> tuple[Spent, ...]:
        """What each stage up to now has spent."""
        return (*self._before, self.active.spent)

    @property
    def total(self) -> Spent:
        """What all stages have spent."""
        return sum(self.spent, Spent())

    @property
    def fraction(self) -> float:
        """Share of the whole run that is done."""
        done = sum(stage.share for stage in self.stages[: self.active.index])
        return min(1.0, done + self.active.stage.share * self.active.fraction)

    @property
    def seconds_left(self) -> float:
        """Estimated training seconds to the end of the run."""
        left, active = self.active.seconds_left, self.active
        later = sum(stage.share for stage in active.later) / active.stage.share
        return left + later * (left + active.spent.seconds)

    def take(self) -> Batch:
        """The next batch of the stage, ready for the model."""
        return self.policy.take(next(self.active.stream), self._dtype)

    def start(self) -> None:
        """Begin the first stage with data-dependent initialisation."""
        self.root.train()
        position = self.stream.position
        self._seed("start", 0)
        with self._timed() as spent, torch.no_grad():
            self.model.start(self.policy.take(next(self.stream), self._dtype))
            self.stream.seek(position)
            with self._evaluating():
                stream = self._prepare(0, ())
            self._processes.share(self.root)
        self._enter(0, stream, position)
        self._charge(spent())

    def advance(self) -> None:
        """End the stage and begin the next one."""
        ended = self.active
        position = ended.stream.position
        with self._timed() as spent, self._evaluating(), ended.average.swap():
            self._finish_model()
            stream = self._prepare(ended.index + 1, self.spent)
            self._processes.share(self.root)
        ended.copy_finished(self.model.players())
        ended.thaw()
        self._before += (ended.spent,)
        self._enter(ended.index + 1, stream, position)
        if self.active.stage.carries:
            self.active.carry_on(ended)
        self._charge(spent())

    def finish(self) -> None:
        """End the last stage; the weights in training stay as they are, to be gone on with."""
        buffers = {name: buffer.clone() for name, buffer in self.root.named_buffers()}
        with self._evaluating(), self.active.average.swap():
            self._finish_model()
            self._processes.share(self.root)
        self._final_buffers = {name: b.clone() for name, b in self.root.named_buffers()}
        self._set_buffers(buffers)
        self.finished = True

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The model with its averaged weights, in evaluation mode."""
        with self._evaluating(), self.active.average.swap():
            buffers = {name: buffer.clone() for name, buffer in self.root.named_buffers()}
            self._set_buffers(self._final_buffers)
            try:
                yield
            finally:
                if self._final_buffers:
                    self._set_buffers(buffers)

    def keep_averages(self) -> None:
        """Overwrite the weights in training by their averages, for good."""
        self.active.average.copy_to_parameters()
        self._set_buffers(self._final_buffers)

    def checkpoint(self) -> Checkpoint:
        """All that a resume needs."""
        with self.averaged():
            average = snapshot(self.root)
        meta = Meta(
            stage=self.active.index,
            spent=self.spent,
            position=self.active.stream.position,
            finished=self.finished,
            seed=self.run.seed,
        )
        state = self.active.state_dict()
        return Checkpoint(meta=meta, model=snapshot(self.root), average=average, state=state)

    def load(self, saved: Checkpoint) -> list[str]:
        """Go on from a checkpoint; returns notices.

        Raises:
            DanluError: it is of another run, or of another model.
        """
        meta, notices = saved.meta, []
        if meta.seed != self.run.seed:
            raise DanluError(f"The run was begun with seed {meta.seed}; go on with the same seed.")
        if meta.stage >= len(self.stages):
            raise DanluError(f"The checkpoint is of stage {meta.stage}, which the model lacks.")
        self.root.train()
        require_fit(self.root, saved.average)
        try:
            stream = self._recall(meta.stage)
        except DanluError as error:
            name = self.stages[meta.stage].name
            notices.append(f"What stage {name!r} prepared from the data is made again: {error}.")
            restore(self.root, saved.average)
            with self._evaluating():
                stream = self._prepare(meta.stage, meta.spent[:-1])
        self._before = meta.spent[:-1]
        self._enter(meta.stage, stream, meta.position)
        shapes = self.active.state_shapes()
        restore(self.root, saved.model)
        self.active.require_fit(saved.state, shapes)
        self.active.load_state_dict(saved.state, saved.average, self.root, meta.spent[-1])
        if meta.finished and self.active.over:
            self._final_buffers = {
                name: saved.average[name]
                for name, _ in self.root.named_buffers()
                if name in saved.average
            }
            self.finished = True
        return notices

    def _enter(self, index: int, stream: Stream, position: int) -> None:
        before = sum(self._before, Spent())
        clock = self._clock(index, before)
        if self._processes.world > 1:
            stream = stream.sharded(self._processes.rank, self._processes.world)
        stream.seek(position)
        self.active = ActiveStage(self.model, self.stages, index, self.plan, stream, clock)
        self.active.freeze()

    def _charge(self, seconds: float) -> None:
        """Time between stages; processes agree on it, as on that of rounds."""
        self.active.charge(self._processes.largest(seconds))

    def _clock(self, index: int, before: Spent) -> Clock:
        if self._replay is not None:
            return ReplayClock(self._replay[index] if index < len(self._replay) else [])
        return self.budget.clock([stage.share for stage in self.stages[index:]], before)

    def _recall(self, index: int) -> Stream:
        """The stream of a stage as it was prepared; an error where it must be made again."""
        stage, folder = self.stages[index], self.run.folder
        if stage.prepare is None:
            return self.stream
        assert folder is not None  # there is a checkpoint
        return prepared.recall(folder, stage.name, self.stream)

    def _prepare(self, index: int, before: Sequence[Spent]) -> Stream:
        """The stream of a stage; the model is in evaluation mode, with its averaged weights.

        The data stands where the stages before have left it, by which work can follow the budget.
        """
        stage = self.stages[index]
        if stage.prepare is None:
            return self.stream
        self._seed("prepare", index)
        turns = (sum(play.times for play in each.plays) for each in self.stages)
        taken = sum(n * each.steps for n, each in zip(turns, before, strict=False))
        self.stream.seek(taken * self.plan.batch)
        stream = stage.prepare(self.model, self.stream)
        leads = self._processes.rank == 0
        if stream is not self.stream and self.run.folder is not None and leads:
            prepared.keep(self.run.folder, stage.name, stream)
        return stream

    def _finish_model(self) -> None:
        position = self.stream.position
        self._seed("finish", self.active.index)
        self.model.finish(self._first_batches())
        self.stream.seek(position)

    def _first_batches(self) -> Iterator[Batch]:
        self.stream.seek(0)
        for _ in range(FINISH_BATCHES):
            yield self.policy.take(next(self.stream), self._dtype)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        training = [module for module in self.root.modules() if module.training]
        self.root.eval()
        try:
            yield
        finally:
            for module in training:
                module.training = True

    @contextmanager
    def _timed(self) -> Iterator[Callable[[], float]]:
        """Seconds inside the context, to be asked for after it."""
        began = ended = perf_counter()
        try:
            yield lambda: ended - began
        finally:
            ended = perf_counter()

    @torch.no_grad()
    def _set_buffers(self, values: dict[str, torch.Tensor]) -> None:
        own = dict(self.root.named_buffers())
        for name, value in values.items():
            own[name].copy_(value)

    def _seed(self, what: str, index: int) -> None:
        seed(derive_seed(self.run.seed, what, index), self.policy.device)
