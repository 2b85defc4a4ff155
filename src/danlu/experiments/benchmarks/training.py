"""What training costs, side by side in one run: recomputing, packing, and Amos' steps and state."""

from collections.abc import Callable
from typing import Any

from danlu.experiments.benchmarks import amos, memory, packing


def run(report: Callable[[str], None]) -> dict[str, Any]:
    """Memory against time, packed documents against padded rows, Amos against AdamW."""
    parts = {"memory": memory, "packing": packing}
    figures = {name: part.run(report) for name, part in parts.items()}
    figures["amos"] = amos.costs(report)
    return {**figures, "holds": all(part["holds"] for part in figures.values())}
