"""The page of a study: each claim beside what was found, then tables and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from danlu.evaluation.canvas import Figure
from danlu_bench.page import table, write_page


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What an article claims, and what was found.

    Attributes:
        text: the claim.
        found: the figures that decide it.
        holds: whether they agree with it.
    """

    text: str
    found: str
    holds: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What a study found.

    Attributes:
        name: under which `danlu bench` runs it.
        title: heading of its page.
        about: what was measured and how; paragraphs.
        claims: in the order of the article.
        tables: heading -> rows, the first with the names of the columns.
        pictures: name -> picture.
        figures: everything measured, as plain data.
    """

    name: str
    title: str
    about: Sequence[str]
    claims: Sequence[Claim]
    tables: Mapping[str, Sequence[Sequence[str]]]
    pictures: Mapping[str, Figure]
    figures: Mapping[str, Any]


def publish(study: Study, report: Any, folder: Path | None = None) -> dict[str, Any]:
    """Write the page, say what holds, and give the figures.

    Args:
        study: what was found.
        report: takes lines of progress.
        folder: of the page; that of the documentation unless given.
    """
    rows = [(each.text, each.found, "yes" if each.holds else "**no**") for each in study.claims]
    lines = [
        f"# {study.title}",
        f"\nCommand: `OMP_NUM_THREADS=1 danlu bench {study.name}`.",
        *(f"\n{paragraph}" for paragraph in study.about),
        *table(("claim", "found here", "holds"), rows),
    ]
    for heading, (columns, *body) in study.tables.items():
        lines += [f"## {heading}", *table(columns, body)]
    page = write_page(study.name, lines, study.pictures, folder)
    for each in study.claims:
        report(f"{'holds' if each.holds else 'does not hold'}: {each.text} ({each.found})")
    report(f"written: {page}")
    return {**study.figures, "claims": [asdict(each) for each in study.claims]}
