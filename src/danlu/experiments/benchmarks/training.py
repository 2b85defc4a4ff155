"""What training costs, side by side in one run: recomputing, then packing."""

from collections.abc import Callable
from typing import Any

from danlu.experiments.benchmarks import memory, packing


def run(report: Callable[[str], None]) -> dict[str, Any]:
    """Memory against time of recomputing, and packed documents against padded rows."""
    figures = {"memory": memory.run(report), "packing": packing.run(report)}
    return {**figures, "holds": all(part["holds"] for part in figures.values())}
