"""Shows an experiment while it runs: plain lines and bars, or a live table of several runs."""

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from typing_extensions import override

from danlu.cli.console import duration, say
from danlu.contracts import Progress, Stage
from danlu.evaluation.results import Row
from danlu.runs.observer import Observer
from danlu.training import Hook, Outcome, Status, Training
from danlu.training.live_progress import ConsoleProgress, clock

REFRESH_SECONDS = 0.5


class Lines(Observer):
    """An observer for people: a line for each part, a bar for each training."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing stays open."""

    @override
    def say(self, line: str) -> None:
        say(self.console, line)

    @override
    def planned(self, parts: Mapping[str, float]) -> None:
        split = ", ".join(f"{part} {duration(seconds)}" for part, seconds in parts.items())
        self.say(f"split: {split}")

    @override
    def started(self, part: str, seconds: float | None = None) -> None:
        self.say(part if seconds is None else f"{part} ({duration(seconds)})")

    @override
    def hooks(self, name: str) -> Sequence[Hook]:
        return [ConsoleProgress(self.console, title=name)]

    @override
    def finished(self, row: Row) -> None:
        if row.failure:
            self.say(f"{row.name} has no figures: {row.failure}")


class LiveTable(Lines):
    """In a terminal, one table of all runs that is kept up to date."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.part = ""
        self._runs: list[Watched] = []
        self._live = Live(console=console, auto_refresh=False)

    @override
    def __enter__(self) -> "Lines":
        self._live.start()
        return self

    @override
    def close(self) -> None:
        self.part = ""
        self.refresh()
        self._live.stop()

    @override
    def started(self, part: str, seconds: float | None = None) -> None:
        self.part = part if seconds is None else f"{part} ({duration(seconds)})"
        self.refresh()

    @override
    def hooks(self, name: str) -> Sequence[Hook]:
        self._runs.append(Watched(name, self))
        return self._runs[-1:]

    def refresh(self) -> None:
        """Show the newest state."""
        table = Table(
            box=None,
            pad_edge=False,
            collapse_padding=True,
            caption=self.part,
            caption_justify="left",
        )
        for heading in ("run", "", "step", "per second", "trained", "left", "loss"):
            is_text = heading in ("run", "", "loss")
            table.add_column(heading, justify="left" if is_text else "right", no_wrap=True)
        for watched in self._runs:
            if watched.status is not None:
                table.add_row(watched.name, *_cells(watched.status))
        self._live.update(table, refresh=True)


class Watched(Hook):
    """Keeps the newest status of one run for the table."""

    def __init__(self, name: str, table: LiveTable) -> None:
        self.name = name
        self.table = table
        self.status: Status | None = None
        self._next = 0.0

    @override
    def on_stage(self, trainer: Training, stage: Stage) -> None:
        self._update(trainer)

    @override
    def on_round(self, trainer: Training, progress: Progress) -> None:
        if monotonic() >= self._next:
            self._next = monotonic() + REFRESH_SECONDS
            self._update(trainer)

    @override
    def on_notice(self, trainer: Training, text: str) -> None:
        self.table.say(f"{self.name}: {text}")

    @override
    def on_end(self, trainer: Training, outcome: Outcome) -> None:
        self._update(trainer)

    def _update(self, trainer: Training) -> None:
        self.status = trainer.status()
        self.table.refresh()


def display_for(console: Console, *, table: bool = False) -> Lines:
    """A live table where it is wanted and the console is a terminal, else lines."""
    return LiveTable(console) if table and console.is_terminal else Lines(console)


def _cells(status: Status) -> list[Any]:
    first = [next(iter(parts.values())) for parts in status.losses.values() if parts]
    return [
        ProgressBar(total=1.0, completed=status.fraction, width=10),
        f"{status.step:,}",
        f"{status.examples_per_second:,.0f}",
        clock(status.seconds),
        clock(status.seconds_left),
        ", ".join(f"{loss:.3g}" for loss in first),
    ]
