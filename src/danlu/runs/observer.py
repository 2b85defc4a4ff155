"""Who watches an experiment: the command line shows it, tests record it, a library call ignores it.

The base class ignores everything.
"""

from collections.abc import Mapping, Sequence

from danlu.evaluation.results import Row
from danlu.training import Hook


class Observer:
    """Told what happens; every method does nothing unless overridden."""

    def say(self, line: str) -> None:
        """Something that a person should know, in one line."""

    def planned(self, parts: Mapping[str, float]) -> None:
        """How the time is split: part -> seconds."""

    def started(self, part: str, seconds: float | None = None) -> None:
        """A part begins, planned to take so long."""

    def hooks(self, name: str) -> Sequence[Hook]:
        """Hooks that watch the training of one run."""
        return ()

    def finished(self, row: Row) -> None:
        """A row of the results is complete."""
