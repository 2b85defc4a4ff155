"""The page: the answer first, then the pictures, the figures and everything behind them."""

from importlib.resources import files
from pathlib import Path

from danlu.evaluation.facts import duration
from danlu.evaluation.markup import Safe, join, section, tag
from danlu.evaluation.report.album import FITS, Album
from danlu.evaluation.report.columns import comparison
from danlu.evaluation.report.memorisation import memorisation
from danlu.evaluation.report.samples import CLOSE, curves, effort, nearest, samples
from danlu.evaluation.report.tables import budget, cost, evidence, measurement, stages
from danlu.evaluation.results import Results, Row, RowKind
from danlu.evaluation.verdict import Verdict, judge
from danlu.files import write_text

LIMIT = 2_900_000  # bytes; a page stays below 3 MB
NAME = "report.html"


def write_report(results: Results, folder: Path, *, neighbours: bool = True) -> Path:
    """Write `report.html` into the folder of the results: one file that needs no network.

    Pictures are read by their paths in `results`, relative to `folder`, and embedded; they are
    made smaller until the page stays below 3 MB.

    Args:
        results: what a race or an evaluation found.
        folder: where the pictures are and the page goes.
        neighbours: whether training images may be on the page. Without, it shows neither nearest
            neighbours nor the pictures of train-copy rows.
    """
    for fit in FITS:
        text = _page(results, Album(folder, fit), neighbours=neighbours)
        if len(text.encode()) <= LIMIT:
            break
    write_text(folder / NAME, text)
    return folder / NAME


def document(title: str, *parts: Safe) -> str:
    """A whole page around its parts, with the style inside."""
    style = files("danlu.evaluation.report").joinpath("style.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Safe(style)),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', *parts), lang='en')}\n"


def _page(results: Results, album: Album, *, neighbours: bool) -> str:
    verdict = judge(results)
    made = f"Made by danlu {results.version}. {_privacy(results, neighbours)}"
    return document(
        results.title,
        _answer(results, verdict),
        tag("main", *_sections(results, verdict, album, neighbours=neighbours)),
        tag("footer", tag("p", made)),
    )


def _answer(results: Results, verdict: Verdict) -> Safe:
    reasons = [tag("li", reason) for reason in verdict.reasons]
    return tag(
        "header",
        tag("h1", *_emphasised(verdict)),
        tag("ul", *reasons, class_="reasons") if reasons else None,
        tag("p", f"{results.title} · {results.reference} · {_seeds(results)}", class_="quiet"),
    )


def _emphasised(verdict: Verdict) -> list[Safe | str]:
    """The sentence with the winner's name marked where it first appears."""
    name = verdict.winner
    if name is None or name not in verdict.sentence:
        return [verdict.sentence]
    before, _, after = verdict.sentence.partition(name)
    return [before, tag("em", name), after]


def _sections(
    results: Results, verdict: Verdict, album: Album, *, neighbours: bool
) -> list[Safe | None]:
    parts = [
        (
            "Samples",
            "Drawn at random, not chosen. The small pictures are earlier moments of training.",
            samples(results, verdict, album, neighbours=neighbours),
        ),
        ("Comparison", None, comparison(results, verdict)),
        (
            "Likelihood",
            "How probable held-out data are to a model. An exact value and a lower bound are "
            "different things: a bound may hide a better model. “None” is an estimate that may "
            "lie on either side.",
            evidence(results),
        ),
        ("Cost", None, join(cost(results, verdict), stages(results, verdict))),
        (
            "Curves",
            "Seconds of training, without the time of evaluation and saving. Losses of different "
            "families have no common scale.",
            curves(results, verdict),
        ),
        (
            "Cost of a sample against its quality",
            "The same trained models with more or fewer network evaluations for a sample, against "
            "the validation split. A model that draws in one go is a dot.",
            effort(results, verdict),
        ),
        ("Memorisation", None, memorisation(results, verdict)),
        (
            "Nearest training examples",
            "Each pair is a sample (left) and the training example nearest to it (right). A model "
            "that only remembers shows the same picture twice.",
            nearest(results, verdict, album) if neighbours else None,
        ),
        ("Notices", None, _notices(results)),
        ("Budget", "What was planned before the start, and what was used.", budget(results)),
        ("Measurement", "All that is needed to get these figures again.", measurement(results)),
        ("Going on", None, _next_steps(results, verdict, album.folder)),
    ]
    return [section(title, part, lead=lead) for title, lead, part in parts if part]


def _notices(results: Results) -> Safe | None:
    lines = [tag("li", notice) for notice in results.notices]
    return tag("ul", *lines) if lines else None


def _next_steps(results: Results, verdict: Verdict, folder: Path) -> Safe | None:
    row = next((row for row in results.rows if row.name == verdict.winner), None)
    where = row and _run_of(row, folder)
    if not where:
        return None
    steps = [
        ("Train it further:", f"danlu train --resume {where} --minutes 60"),
        ("Draw from it:", f"danlu sample {where} --n 64 --seed 1"),
        ("Use it in Python:", f'import danlu\nmodel = danlu.load("{where}")'),
    ]
    return join(
        *(
            join(
                tag("p", told),
                tag(
                    "pre",
                    tag("code", typed),
                    tabindex="0",
                    role="region",
                    aria_label=told.rstrip(":"),
                ),
            )
            for told, typed in steps
        )
    )


def _run_of(row: Row, folder: Path) -> str:
    """The row's run as a person would type it: as recorded, or a folder beside the page."""
    if row.run or row.kind is not RowKind.MODEL:
        return row.run
    beside = folder / row.name
    return str(beside if beside.is_dir() else folder)


def _seeds(results: Results) -> str:
    spent = sum(used for _, used in results.split.values())
    seeds = f"seed {results.seed}" if results.seeds == 1 else f"{results.seeds} seeds"
    return f"{seeds} · {duration(spent)} in all" if spent else seeds


def _privacy(results: Results, neighbours: bool) -> str:
    shown = any(row.neighbours or (row.grids and row.kind in CLOSE) for row in results.rows)
    if neighbours and shown:
        return "This page contains training examples; share it only where they may be seen."
    return "This page contains no training examples."
