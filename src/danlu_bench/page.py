"""A page of measured results with its pictures, written by the command that measured them.

In a checkout the page goes to `docs/results` and into its index; elsewhere to `results`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from danlu.evaluation.canvas import Figure, save_figure, ticker
from danlu.files import write_text
from danlu.runs.machine import device_line

DOCS = Path("docs/results")
ELSEWHERE = Path("results")
MARKS = 8
"""The most places that an axis names."""
Curve = tuple[Sequence[float], Sequence[float]]


def write_page(
    name: str, lines: Sequence[str], pictures: Mapping[str, Figure], folder: Path | None = None
) -> Path:
    """Write NAME.md with its pictures beside it; the first line is its heading.

    Returns:
        Where the page is.
    """
    folder = place(folder)
    shown = []
    for stem, figure in pictures.items():
        save_figure(figure, folder / f"{name}-{stem}.png", dpi=110, bbox_inches="tight")
        shown.append(f"\n![{stem.replace('-', ' ')}]({name}-{stem}.png)")
    page = folder / f"{name}.md"
    write_text(page, "\n".join([*lines, f"\nMachine: {device_line('cpu')}.", *shown]) + "\n")
    _enter(folder / "index.md", name, lines[0].lstrip("# "))
    return page


def place(folder: Path | None = None) -> Path:
    """The folder of a page, made where it is missing."""
    folder = folder or (DOCS if DOCS.is_dir() else ELSEWHERE)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    lines = [list(heading), ["---"] * len(heading), *(list(row) for row in rows)]
    return ["", *("| " + " | ".join(cells) + " |" for cells in lines), ""]


def curves(lines: Mapping[str, Curve], across: str, up: str, *, log: bool = False) -> Figure:
    """Named curves in one picture."""
    figure = Figure(figsize=(6.0, 3.6))
    axes = figure.subplots()
    for style, (name, (x, y)) in enumerate(lines.items()):
        axes.plot(x, y, label=name, linestyle=("-", "--", ":", "-.")[style % 4], marker=".")
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    if log:
        axes.set_xscale("log")
        _tick(axes, sorted({each for x, _ in lines.values() for each in x}))
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize="small")
    return figure


def _tick(axes: Any, places: Sequence[float]) -> None:
    """Marks of a logarithmic axis at what was measured, where that is little."""
    if len(places) > MARKS:
        return
    axes.set_xticks(places, [f"{place:,g}" for place in places])
    axes.xaxis.set_minor_locator(ticker.NullLocator())


def points(
    named: Mapping[str, tuple[float, float]], across: str, up: str, *, log: bool = True
) -> Figure:
    """Named points in one picture, the first number on a logarithmic axis or not."""
    figure = Figure(figsize=(6.0, 3.6))
    axes = figure.subplots()
    for number, (name, (x, y)) in enumerate(named.items()):
        axes.plot([x], [y], label=name, linestyle="", marker="os^vDP*X"[number % 8])
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    if log:
        axes.set_xscale("log")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize="small")
    return figure


def _enter(index: Path, name: str, title: str) -> None:
    """Add the page to the index of its folder, once."""
    if not index.is_file():
        return
    text = index.read_text(encoding="utf-8")
    if f"({name}.md)" in text:
        return
    head, fence, tree = text.partition("\n```{toctree}")
    body, end = tree.rstrip().removesuffix("```"), "```\n"
    write_text(index, f"{head.rstrip()}\n- [{title}]({name}.md)\n{fence}{body}{name}\n{end}")
