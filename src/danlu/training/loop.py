"""The training loop: one for one player (most models), two (GANs) and any number of stages.

Everything that is not a gradient step is a hook. With a budget in steps, k + (n - k) resumed
steps equal n straight steps bit for bit: every play seeds torch from (run seed, stage, step,
play) and draws its own batch, whose content is a function of the stream's position.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Generic, TypeVar

import torch

from danlu.contracts import Batch, KeepsStatistics, Progress, Stream, derive_seed
from danlu.optim.plan import Plan
from danlu.training import checkpoint
from danlu.training.budget import Budget, StepClock
from danlu.training.compiling import Compilation
from danlu.training.course import Course
from danlu.training.hooks import Hook, Outcome, Status, TrainingRun
from danlu.training.interrupts import orderly_stop, telling_what_is_kept
from danlu.training.learner import Learner
from danlu.training.locking import held
from danlu.training.log import Diary
from danlu.training.play import add_up, coupled, gradients, seed
from danlu.training.policy import settle
from danlu.training.trainable import Trainable

Model = TypeVar("Model", bound=Trainable)

LOG_SECONDS = 0.1
"""Least time between two logged rounds."""


class Trainer(Generic[Model]):
    """Trains a model within a budget; a run folder with checkpoints is gone on with.

    `run()` leaves the weights in training in the model. Use `averaged()`, `keep_averages()` or
    the run folder to have the averaged ones.

    Attributes:
        model: what is trained.
        course: the stage that trains now, and what comes between stages.
        policy: how the hardware is used.
        notices: what the user should know.
    """

    def __init__(
        self,
        model: Model,
        stream: Stream,
        plan: Plan,
        budget: Budget,
        *,
        run: TrainingRun | None = None,
    ) -> None:
        self.model = model
        self.plan = plan
        self.options = run or TrainingRun()
        self._processes = self.options.processes
        self._leads = self._processes.rank == 0
        folder = self.options.folder
        with self._processes.leader_first():
            self.policy, notices = settle(folder, self.options.policy, stream.description)
        self.notices = [*notices, *getattr(model, "cautions", ())]
        if plan.micro_batches * self._processes.world > 1:
            self.notices += coupled(model)
        self.course = Course(model, stream, plan, budget, run=self.options, policy=self.policy)
        self.policy.place(self.course.root)
        self._processes.place(self.course.root)
        self._keepers = [m for m in self.course.root.modules() if isinstance(m, KeepsStatistics)]
        self._diary: Diary | None = None
        self._begun = self._stop = False
        self._compilation: Compilation | None = None
        self._fresh = False
        self._saved_step, self._saved_seconds = -1, 0.0
        self._logged_step, self._logged_time = -1, 0.0
        self._hook_seconds = self._checkpoint_seconds = 0.0

    # --- use ----------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Train until the budget is spent or Ctrl+C asks for a stop, then save.

        Raises:
            NonFiniteError: a loss or gradient is not finite; the last checkpoint is kept.
        """
        self._stop = False
        with self._surroundings():
            self.begin()
            while not self.course.finished and not self._stopping():
                if not self.course.active.over:
                    self.round()
                    self._after_round()
                elif self.course.active.later:
                    self._advance()
                else:
                    self._log(force=True)
                    self.course.finish()
                    self._save(force=True)
            self._log(force=True)
            self._save()
            outcome = self._outcome()
            self._tell(lambda hook: hook.on_end(self, outcome))
        return outcome

    def begin(self) -> None:
        """Start the first stage, or go on from the newest checkpoint; `run` does it itself."""
        if self._begun:
            self.course.active.freeze()
            return
        folder = self.options.folder
        saved, notices = None, []
        if folder is not None:
            with self._processes.leader_first():
                saved, notices = checkpoint.load_newest(folder, self.course.load)
        if saved is None:
            self.course.start()
        else:
            self._saved_step = self.course.total.steps
            self._saved_seconds = self.course.total.seconds
        if folder is not None and self._leads:
            self._diary = Diary(folder, self.course.spent)
            notices += self._diary.notices
        if self.policy.compile:
            self._compilation = Compilation(self.model)
        self._begun = self._fresh = True
        for text in self.notices + notices:
            self._tell(lambda hook, text=text: hook.on_notice(self, text))
        self.notices += notices
        self._tell(lambda hook: hook.on_stage(self, self.course.active.stage))

    def round(self) -> None:
        """Every play of the stage once; nothing is logged or saved."""
        active = self.course.active
        began, position = perf_counter(), active.stream.position
        for index, learner in enumerate(active.plays):
            self._play(learner, active.progress(self.options.seed, index))
        active.average.update()
        seconds = self._processes.largest(perf_counter() - began)
        active.count(seconds, active.stream.position - position)

    def status(self) -> Status:
        """Where the run stands."""
        course = self.course
        active, total = course.active, course.total
        return Status(
            stage=active.stage.name,
            step=total.steps,
            fraction=course.fraction,
            seconds=total.seconds,
            seconds_left=course.seconds_left,
            examples=active.stream.position,
            examples_per_second=active.rate,
            losses={name: learner.values() for name, learner in active.learners.items()},
        )

    @contextmanager
    def averaged(self) -> Iterator[Model]:
        """The model with its averaged weights, in evaluation mode."""
        with self.course.averaged():
            yield self.model

    def keep_averages(self) -> None:
        """Overwrite the weights in training by their averages, for good."""
        self.course.keep_averages()

    def interrupt(self) -> None:
        """Stop after this round, with a checkpoint."""
        self._stop = True

    # --- one play -------------------------------------------------------------------------------

    def _play(self, learner: Learner, progress: Progress) -> None:
        batch = self.course.take()
        try:
            self._gradients(learner, batch, progress)
        except Exception as error:
            if self._compilation is None:
                raise
            self._compilation.back_to_eager()
            self._compilation = None
            self._notice(f"Compilation failed ({type(error).__name__}); training goes on in eager.")
            self._gradients(learner, batch, progress)
        add_up(learner, self._keepers, self._processes)
        learner.step(self.plan.max_grad_norm, progress)
        # What changes after a step must change alike in every process.
        seed(derive_seed(progress.seed, "after"), self.policy.device)
        self.model.after_step(learner.name, progress)

    def _gradients(self, learner: Learner, batch: Batch, progress: Progress) -> None:
        parts = self.plan.micro_batches
        gradients(self.model, learner, batch, progress, policy=self.policy, parts=parts)

    # --- between rounds -------------------------------------------------------------------------

    def _stopping(self) -> bool:
        """Whether a process was asked to stop: then all do, after the same round."""
        self._stop = self._processes.largest(float(self._stop)) > 0
        return self._stop

    def _after_round(self) -> None:
        active = self.course.active
        if self._fresh and self._compilation is not None and (idle := self._compilation.idle()):
            self._notice(idle)
        self._fresh = False
        if self._diary is not None and not isinstance(active.clock, StepClock):
            self._diary.fraction(active.index, active.last_fraction)
        self._log()
        self._tell(lambda hook: hook.on_round(self, active.progress(self.options.seed, 0)))
        total, every = self.course.total, self.options.checkpoint_steps
        if every is not None:
            due = total.steps % every == 0
        else:
            due = total.seconds - self._saved_seconds >= self.options.checkpoint_seconds
        if due and not active.over:
            self._save()

    def _advance(self) -> None:
        self._log(force=True)
        self.course.advance()
        self._fresh = True
        self._tell(lambda hook: hook.on_stage(self, self.course.active.stage))
        self._save(force=True)

    def _log(self, *, force: bool = False) -> None:
        """Append rows, unless these were just written."""
        step, now = self.course.total.steps, perf_counter()
        if self._diary is None or step == self._logged_step or self.course.active.fresh:
            return
        if not force and now - self._logged_time < LOG_SECONDS:
            return
        self._logged_step, self._logged_time = step, now
        for row in self.course.active.rows():
            self._diary.write({"step": step, "seconds": self.course.total.seconds, **row})

    def _save(self, *, force: bool = False) -> None:
        """Write a checkpoint, unless this step has one."""
        folder, total = self.options.folder, self.course.total
        if folder is None or (total.steps == self._saved_step and not force):
            return
        began = perf_counter()
        if self._diary is not None:
            self._diary.sync()
            checkpoint.save(folder, self.course.checkpoint())
        self._saved_step, self._saved_seconds = total.steps, total.seconds
        self._checkpoint_seconds += perf_counter() - began

    # --- around ---------------------------------------------------------------------------------

    @contextmanager
    def _surroundings(self) -> Iterator[None]:
        """The caller's threads, random state and gradient flags come back after training."""
        gpus = range(torch.cuda.device_count()) if self.policy.device.startswith("cuda") else []
        with (
            held(self.options.folder if self._leads else None),
            telling_what_is_kept(lambda: self._saved_step),
            orderly_stop(self.interrupt),
            self.policy.applied(),
            torch.random.fork_rng(devices=gpus),
        ):
            try:
                yield
            finally:
                if self._begun:
                    self.course.active.thaw()
                for hook in self.options.hooks:
                    hook.close()
                if self._diary is not None:
                    self._diary.sync()

    def _outcome(self) -> Outcome:
        total = self.course.total
        return Outcome(
            steps=total.steps,
            examples=self.course.active.stream.position,
            seconds=total.seconds,
            interrupted=not self.course.finished,
            fraction=self.course.active.fraction,
            hook_seconds=self._hook_seconds,
            checkpoint_seconds=self._checkpoint_seconds,
            notices=tuple(self.notices),
        )

    def _notice(self, text: str) -> None:
        self.notices.append(text)
        self._tell(lambda hook: hook.on_notice(self, text))

    def _tell(self, call: Callable[[Hook], None]) -> None:
        """Call every hook, in the leader; the clock of training stands still."""
        if not self._leads:
            return
        began = perf_counter()
        for hook in self.options.hooks:
            call(hook)
        self._hook_seconds += perf_counter() - began
