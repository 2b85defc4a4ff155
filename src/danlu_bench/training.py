"""What training costs, side by side in one run.

Recomputing, packing, Amos' steps and state, and word vectors by counting.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from danlu.contracts import DanluError
from danlu_bench import amos, memory, packing
from danlu_bench.page import table, write_page

Report = Callable[[str], None]
Part = Callable[[Report], dict[str, Any]]


def run(report: Report, *, words: Part | None = None, folder: Path | None = None) -> dict[str, Any]:
    """Measure all parts and write the page; `holds` says whether every promise is kept."""
    parts: dict[str, Part] = {
        "memory": partial(memory.run, folder=folder),
        "packing": packing.run,
        "optimisers": amos.costs,
    }
    figures = {name: part(report) for name, part in parts.items()}
    if words is not None:
        try:
            figures["words"] = words(report)
        except DanluError as missing:
            report(f"word vectors are left out: {missing}")
    report(f"written: {write_page('training', _page(figures), {}, folder)}")
    return {**figures, "holds": all(part["holds"] for part in figures.values())}


def _page(figures: dict[str, Any]) -> list[str]:
    planned, packer = figures["memory"]["planned"], figures["packing"]["packer"]
    lines = [
        "# What training costs",
        "\nCommand: `OMP_NUM_THREADS=1 danlu bench training`; one thread, CPU time, the ways of a "
        "row take turns in one process. Promises stand in brackets.",
        f"\n- Recomputing by the planner, 16 transformer blocks: {planned['memory']:.3f} of the "
        f"memory ({memory.MOST_MEMORY}) in {planned['time']:.2f} of the time "
        f"({memory.MOST_TIME}); the planner's prediction is off by at most "
        f"{figures['memory']['error']:.1%} on three models ({memory.MOST_ERROR:.0%}). Every plan: "
        "[memory of a training step](memory.md).",
        f"- Packer: {packing.PACKED:,} documents of lognormal lengths in "
        f"{packer['seconds']:.1f} s ({packing.MOST_SECONDS:g}), fill {packer['fill']:.4f} "
        f"({packing.LEAST_FILL}), {packer['packs']:,} packs where {packer['fewest']:,} are the "
        "fewest possible.",
    ]
    if "words" in figures:
        found = figures["words"]
        ours, peer = found["vectors"][0], found["peer"]
        lines.append(
            f"- Word vectors of the Brown corpus: the decomposition takes {found['speedup']:.1f} "
            f"times less CPU time than gensim's skip-gram (5), with {ours['WS-353']:.3f} against "
            f"{peer['WS-353']:.3f} on WS-353."
        )
    return [*lines, *_packing(figures["packing"]["rows"]), *_optimisers(figures["optimisers"])]


def _packing(rows: list[dict[str, Any]]) -> list[str]:
    cells = [
        (row["stack"], row["lengths"], f"{row['fill']:.2f}", f"{1 / row['fill']:.2f}",
         f"{row['speed']:.2f}", f"{row['padding']:.0%}", f"{row['padding_of_rows']:.0%}")
        for row in rows
    ]  # fmt: skip
    return [
        "\n## Packed documents against padded rows\n",
        "A training step, packed, as a multiple of the speed of padded rows without a mask "
        f"(promised: {packing.LEAST_SHARE} of 1/fill up to a fill of {packing.SPARSE}, "
        f"{1 - packing.MOST_LOSS:g} where nothing is padded), and the floating-point operations "
        "on padding beside those of each document alone.",
        *table(("stack", "lengths", "fill", "1/fill", "speed", "on padding", "of rows"), cells),
    ]


def _optimisers(figures: dict[str, Any]) -> list[str]:
    names = [*amos.OPTIONS]
    cells = []
    for network, row in figures["rows"].items():
        base = row["seconds"][amos.FOREACH]
        shares = (f"{row['seconds'][name] / base:.2f}, {row['state'][name]:.3f}" for name in names)
        cells.append((network, f"{1e3 * base:.2f} ms", *shares))
    return [
        "\n## Optimisers\n",
        f"Time of a step as a share of {amos.FOREACH}'s (promised for Amos: {amos.MOST_TIME}), and "
        f"state as a share of AdamW's (promised: {amos.MOST_STATE}). AdamW is torch's fused one.",
        *table(("network", amos.FOREACH, *names), cells),
    ]
