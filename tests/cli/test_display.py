"""What a person sees while an experiment runs."""

import io
import re

from rich.console import Console

from danlu.cli.display import Lines, LiveTable, display_for
from danlu.data import open_source
from danlu.evaluation.results import Row, RowKind
from danlu.runs.config import DataChoice, resolve
from danlu.runs.folders import create
from danlu.runs.settings import Settings
from danlu.runs.train import Surroundings, train
from danlu.training import Budget


def console(*, terminal):
    return Console(file=io.StringIO(), force_terminal=terminal, width=80, color_system=None)


def watched(display, folder):
    """Two short trainings under a display, and what it showed."""
    source, choice = open_source("two-moons"), DataChoice(source="two-moons")
    settings = Settings(["model.width=8", "train.batch=16"])
    with display:
        display.planned({"training": 65.0, "report": 3.0})
        for name in ("first", "second"):
            display.started(f"training {name}", 2.0)
            config = resolve("vae", source, choice, Budget(steps=2), settings=settings)
            train(create(folder / name, config), source, Surroundings(observer=display))
        display.finished(Row("first", RowKind.MODEL, failure="it was NaN"))
    return display.console.file.getvalue()


def test_a_terminal_has_one_table_of_all_runs(tmp_path):
    display = display_for(console(terminal=True), table=True)
    assert isinstance(display, LiveTable)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", watched(display, tmp_path))
    last = shown.rstrip().splitlines()[-3:]
    assert [line.split()[0] for line in last] == ["run", "first", "second"]
    assert max(len(line) for line in last) <= 80


def test_elsewhere_there_are_plain_lines(tmp_path):
    display = display_for(console(terminal=False), table=True)
    assert type(display) is Lines
    shown = watched(display, tmp_path)
    assert "split: training 1 min 05 s, report 3 s" in shown
    assert "second done: 2 steps" in shown
    assert "first has no figures: it was NaN" in shown
    assert "\x1b" not in shown
