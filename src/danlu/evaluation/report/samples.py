"""The pictures of a report: samples now and over time, neighbours, and the curves."""

from collections.abc import Mapping

from danlu.evaluation.charts import EVALUATIONS, SECONDS, Along, Series, chart
from danlu.evaluation.facts import duration, facts_of, order_of
from danlu.evaluation.markup import Safe, join, tag
from danlu.evaluation.report.album import Album
from danlu.evaluation.results import Picture, Results, Row, RowKind
from danlu.evaluation.verdict import Verdict, ordered

LOSS = "loss"
CLOSE = (RowKind.NON_PARAMETRIC, RowKind.TRAIN_COPY)
"""Rows whose pictures are training examples, or nearly."""


def samples(results: Results, verdict: Verdict, album: Album, *, neighbours: bool) -> Safe:
    """A card for each row with pictures, the models in the order of the verdict."""
    rows = ordered(results, verdict)
    models = [row for row in rows if row.kind is RowKind.MODEL]
    hidden = {RowKind.MODEL} if neighbours else {RowKind.MODEL, *CLOSE}
    others = [row for row in rows if row.grids and row.kind not in hidden]
    cards = [_model_card(row, verdict, album) for row in models]
    yardsticks = [_card(row, album) for row in others]
    return join(
        tag("div", *cards, class_="cards"),
        tag("h3", "For comparison") if yardsticks else None,
        tag("div", *yardsticks, class_="cards small") if yardsticks else None,
    )


def nearest(results: Results, verdict: Verdict, album: Album) -> Safe | None:
    """Samples beside their nearest training examples."""
    cards = [
        tag("figure", album.large(row.neighbours), _caption(row.name, row.neighbours))
        for row in ordered(results, verdict)
        if row.neighbours
    ]
    return tag("div", *cards, class_="cards") if cards else None


def curves(results: Results, verdict: Verdict) -> Safe | None:
    """A chart for each metric with all rows, then the losses of each row by itself."""
    rows = [row for row in ordered(results, verdict) if row.curves]
    charts = _metric_charts({row.name: row.curves for row in rows}, SECONDS)
    for row in rows:
        losses = {key: points for key, points in row.curves.items() if _is_loss(key)}
        lines = [Series(name, losses[key]) for key, name in _parts(sorted(losses)).items()]
        charts.append(_chart(f"Loss of {row.name}", lines, "on its own scale"))
    drawn = [each for each in charts if each is not None]
    return tag("div", *drawn, class_="charts") if drawn else None


def effort(results: Results, verdict: Verdict) -> Safe | None:
    """A chart for each metric against the evaluations that a sample takes."""
    rows = [row for row in ordered(results, verdict) if row.by_evaluations]
    charts = _metric_charts({row.name: row.by_evaluations for row in rows}, EVALUATIONS)
    drawn = [each for each in charts if each is not None]
    return tag("div", *drawn, class_="charts") if drawn else None


def _metric_charts(
    curves: Mapping[str, Mapping[str, list[tuple[float, float]]]], along: Along
) -> list[Safe | None]:
    """Charts of all curves that are no losses; `curves` is row name -> key -> points."""
    keys = {key for known in curves.values() for key in known if not _is_loss(key)}
    charts = []
    for key in sorted(keys, key=order_of):
        facts = facts_of(key)
        title = f"{facts.title} ({facts.space})" if facts.space else facts.title
        lines = [Series(name, known[key]) for name, known in curves.items() if key in known]
        charts.append(_chart(title, lines, facts.direction, facts.unit, along))
    return charts


def _model_card(row: Row, verdict: Verdict, album: Album) -> Safe:
    if not row.grids:
        why = row.failure or "no picture was made"
        return tag("article", _card_head(row, verdict), tag("p", f"No samples: {why}"))
    *earlier, last = sorted(row.grids, key=lambda picture: picture.seconds)
    frames = album.frames(earlier)
    strip = [tag("li", album.small(each), tag("span", duration(each.seconds))) for each in frames]
    label = f"Earlier samples of {row.name}"
    return tag(
        "article",
        _card_head(row, verdict),
        tag("figure", album.large(last), _caption("", last, row.settings)),
        tag("ol", *strip, class_="strip", aria_label=label) if strip else None,
        class_="winner" if row.name == verdict.winner else None,
    )


def _card_head(row: Row, verdict: Verdict) -> Safe:
    won = row.name == verdict.winner and len(verdict.ranking) > 1
    badge = tag("span", "recommended", class_="badge") if won else None
    spent = duration(row.train_seconds) if row.train_seconds is not None else None
    seconds = tag("span", f"after {spent}", class_="quiet") if spent else None
    return tag("h3", tag("span", row.name), badge, seconds)


def _card(row: Row, album: Album) -> Safe:
    *_, last = sorted(row.grids, key=lambda picture: picture.seconds)
    return tag("figure", album.large(last), _caption(row.name, last))


def _caption(name: str, picture: Picture, settings: str = "") -> Safe | None:
    words = "; ".join(word for word in (picture.note, settings) if word)
    if not name and not words:
        return None
    return tag(
        "figcaption",
        tag("span", name, class_="title") if name else None,
        f" {words}" if words and name else words,
    )


def _chart(
    title: str, lines: list[Series], note: str, unit: str = "", along: Along = SECONDS
) -> Safe | None:
    drawn = chart(title, lines, unit, along)
    if drawn is None:
        return None
    caption = tag(
        "figcaption",
        tag("span", title, class_="title"),
        tag("span", f" {note}", class_="quiet") if note else None,
    )
    return tag("figure", caption, drawn)


def _is_loss(key: str) -> bool:
    return key == LOSS or key.startswith(f"{LOSS}/")


def _parts(keys: list[str]) -> dict[str, str]:
    """Names of losses such as `loss/critic/penalty`: without what all of them share."""
    names = {key: key.removeprefix(f"{LOSS}/") for key in keys}
    last = {key: name.rpartition("/")[2] for key, name in names.items()}
    return last if len(set(last.values())) == len(last) else names
