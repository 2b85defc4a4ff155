"""Live progress: a bar where there is a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from typing_extensions import override

from danlu.contracts import Progress, Stage
from danlu.training.hooks import Hook, Outcome, Status, Training

REFRESH_SECONDS = 0.25
LINE_SECONDS = 5.0


class ConsoleProgress(Hook):
    """Shows step, speed, time left and losses while training."""

    def __init__(self, console: Console, *, title: str = "train") -> None:
        self.console = console
        self.title = title
        self._bar: Bar | None = None
        self._task = TaskID(0)
        self._shown = 0.0
        self._step = -1

    @override
    def on_stage(self, trainer: Training, stage: Stage) -> None:
        if self.console.is_terminal and self._bar is None:
            columns = (
                TextColumn("{task.description}", style="bold", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:>3.0f}%"),
                TextColumn("{task.fields[facts]}", markup=False),
            )
            self._bar = Bar(*columns, console=self.console, auto_refresh=False, transient=True)
            self._task = self._bar.add_task(self.title, total=1.0, facts="")
            self._bar.start()

    @override
    def on_round(self, trainer: Training, progress: Progress) -> None:
        now = monotonic()
        if now - self._shown >= (LINE_SECONDS if self._bar is None else REFRESH_SECONDS):
            self._shown = now
            self._show(trainer.status())

    @override
    def on_notice(self, trainer: Training, text: str) -> None:
        self.console.print(f"note: {text}", style="yellow", markup=False, highlight=False)

    @override
    def on_end(self, trainer: Training, outcome: Outcome) -> None:
        status = trainer.status()
        if self._step != status.step:
            self._show(status)
        self.close()
        how = "interrupted" if outcome.interrupted else "done"
        self._print(
            f"{self.title} {how}: {outcome.steps:,} steps, {outcome.examples:,} examples in "
            f"{clock(outcome.seconds)} of training"
        )

    @override
    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _show(self, status: Status) -> None:
        self._step = status.step
        if self._bar is None:
            self._print(f"{self.title} {status.fraction:4.0%}  {facts(status)}")
            return
        text = facts(status)
        self._bar.update(self._task, completed=status.fraction, facts=text, refresh=True)

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def facts(status: Status) -> str:
    """A status in one line."""
    losses = "  ".join(
        _losses(player, values, alone=len(status.losses) == 1)
        for player, values in status.losses.items()
        if values
    )
    speed = f"{status.examples_per_second:,.0f} examples/s"
    left = f"{clock(status.seconds_left)} left"
    return f"{status.stage}  step {status.step:,}  {speed}  {left}  {losses}".rstrip()


def clock(seconds: float) -> str:
    """Seconds as 0:07, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _losses(player: str, values: Mapping[str, float], *, alone: bool) -> str:
    parts = " ".join(f"{name} {value:.4g}" for name, value in values.items())
    return parts if alone else f"{player}: {parts}"
