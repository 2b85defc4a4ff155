import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from danlu.evaluation.report import write_report
from danlu.evaluation.report.page import LIMIT
from danlu.evaluation.results import Measured, Picture, Results, Row, RowKind, StageRow
from danlu.evaluation.verdict import judge

VOID = {"img", "meta", "br"}
NOT_BREAKING = "\u00a0"


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data.replace(NOT_BREAKING, " ")

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(results, folder, **options):
    source = write_report(results, folder, **options).read_text(encoding="utf-8")
    page = Page(source)
    assert page.open == []
    return source, page


def test_results_come_back_from_their_file(results, tmp_path):
    results.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json") == results
    assert not (tmp_path / "results.tmp").exists()


def test_the_page_answers_first_and_shows_every_row(results, tmp_path):
    source, page = page_of(results, tmp_path)
    assert page.text.strip().startswith(results.title)
    body = page.text[page.text.index(results.title) + len(results.title) :]
    assert body.startswith(judge(results).sentence)
    for row in results.rows:
        assert page.text.count(row.name) >= 2
    for line in (*results.notices, results.command, "97.8 %", "9f31c2ab77d0", "prior mismatch"):
        assert line in page.text
    assert "means of p(x|z), not draws" in page.text
    assert f"{tmp_path / 'rectified-flow'} --minutes 60" in page.text
    assert len(source.encode()) < 3_000_000


def test_the_page_loads_nothing_from_anywhere(results, tmp_path):
    source, page = page_of(results, tmp_path)
    without_pictures = re.sub(r"data:image/png;base64,[\w+/=]+", "", source)
    assert not re.findall(r"https?:|//|@import|url\(", without_pictures)
    assert not page.all("script")
    assert not page.all("link")
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))


def test_pictures_tables_and_headings_are_accessible(results, tmp_path):
    source, page = page_of(results, tmp_path)
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("img")) > 20
    assert all(len(image["alt"]) > 10 for image in page.all("img"))
    assert all(
        chart["role"] == "img" and " against " in chart["aria-label"] for chart in page.all("svg")
    )
    assert len(page.all("table")) == len(page.all("caption")) >= 5
    assert all(cell["scope"] in {"col", "row", "rowgroup"} for cell in page.all("th"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    assert {"header", "main", "footer"} <= {tag for tag, _ in page.elements}
    assert "prefers-color-scheme: dark" in source


def test_text_is_escaped_everywhere(results, tmp_path):
    evil = "<script>alert('x')</script>&\""
    model = results.rows[2]
    model.settings = evil
    model.grids[-1] = replace(model.grids[-1], alt=evil, note=evil)
    model.evidence = replace(model.evidence, note=evil, condition=evil)
    results.rows.append(Row(name=evil, kind=RowKind.MODEL, failure=evil))
    results.rows[1].metrics[evil] = Measured(1.0)
    results.rows[1].curves[evil] = [(0.0, 1.0), (1.0, 2.0)]
    results.notices = [evil]
    results.features[evil] = {"name": evil, "hash": evil, "accuracy": 0.5, "seconds": 1.0}
    results.machine[evil] = evil
    results.split[evil] = (1.0, 2.0)
    for field in ("title", "data", "reference", "command", "version"):
        setattr(results, field, evil)
    source, page = page_of(results, tmp_path)
    assert not page.all("script")
    assert evil not in source
    assert page.text.count(evil) > 12


def test_without_neighbours_no_training_image_is_on_the_page(results, tmp_path):
    with_all, page = page_of(results, tmp_path)
    without, shared = page_of(results, tmp_path, neighbours=False)
    assert "Memorisation" in shared.text
    alts = {image["alt"] for image in page.all("img")}
    shared_alts = {image["alt"] for image in shared.all("img")}
    assert alts - shared_alts == {
        "20 pairs of vae",
        "20 pairs of gan",
        "20 pairs of rectified-flow",
        "40 examples of training copy",
        "40 examples of kernel density",
    }
    assert "Nearest training examples" in page.text
    assert "Nearest training examples" not in shared.text
    assert "This page contains no training examples." in shared.text
    assert "training copy" in shared.text  # its figures stay
    assert len(without) < len(with_all)


def test_a_failed_row_says_why(results, tmp_path):
    results.rows[1] = Row(name="gan", kind=RowKind.MODEL, failure="loss term 'critic' became NaN")
    _, page = page_of(results, tmp_path)
    assert "No figures: loss term 'critic' became NaN" in page.text
    assert "No samples: loss term 'critic' became NaN" in page.text


def test_values_of_different_conditions_never_share_a_table(results, tmp_path):
    _, page = page_of(results, tmp_path)
    assert "log p(x), nats" in page.text
    assert "log p(x | class), nats" in page.text
    assert "−92.31 ± 0.62" in page.text
    assert "lower bound" in page.text


def test_only_the_best_model_of_a_column_is_marked(results, tmp_path):
    source, page = page_of(results, tmp_path)
    marked = re.findall(r'<tr[^>]*><th scope="row"><span class="title">([^<]+).*?</tr>', source)
    assert "held-out" in marked
    winners = re.findall(r'<tr class="yardstick">.*?</tr>', source)
    assert len(winners) == 8  # four yardsticks, the kernel density, and those of memorisation
    assert not any("(best)" in row for row in winners)
    assert page.text.count("(best)") == len(results.rows[0].metrics)


def test_the_kernel_density_is_a_group_of_its_own_and_flagged_as_a_copy(results, tmp_path):
    source, page = page_of(results, tmp_path)
    assert "Non-parametric: it does not compete" in page.text
    (line,) = re.findall(
        r'<tr class="yardstick"><th scope="row">kernel density</th>.*?</tr>', source
    )
    assert "repeats training examples, or nearly" in line
    assert "as far as fresh data" in page.text


def test_quality_against_evaluations_has_lines_and_dots(results, tmp_path):
    source, page = page_of(results, tmp_path)
    told = [svg["aria-label"] for svg in page.all("svg") if "network evaluations" in str(svg)]
    assert len(told) == 2
    assert "rectified-flow goes from" in told[0]
    assert "at 64" in told[0]
    assert "gan is" in told[0]
    assert source.count("<circle") == 8  # each dot and its name


def test_several_stages_have_a_table(results, tmp_path):
    assert "Training by stage" not in page_of(results, tmp_path)[1].text
    results.rows[0].stages = [StageRow("first", 0.6, 60, 30.0), StageRow("prior", 0.4, 40, 20.0)]
    text = page_of(results, tmp_path)[1].text
    assert "Training by stage" in text
    assert "vae: prior40 %4020 s" in text


def test_several_seeds_show_both_errors(results, tmp_path):
    results.seeds = 3
    results.rows[0].metrics["frechet@classifier"] = Measured(9.87, 0.31, 0.31, 0.11)
    text = page_of(results, tmp_path)[1].text
    assert "9.87 ± 0.31 over seeds ± 0.11 within a run" in text


def test_a_page_of_large_pictures_is_made_small_enough(results, tmp_path):
    generator = np.random.default_rng(0)
    for row in results.rows:
        noise = generator.integers(0, 256, (700, 700, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / row.grids[-1].path)
    source, page = page_of(results, tmp_path)
    assert len(source.encode()) <= LIMIT
    assert all(f"{row.name}" in page.text for row in results.rows)
    assert len(page.all("img")) >= len(results.rows)


def test_an_evaluation_of_one_run_and_a_missing_picture_have_a_page(results, tmp_path):
    row = results.rows[2]
    row.grids = [Picture(1.0, "gone.png", "samples")]
    row.neighbours = None
    results.rows, results.notices, results.split, results.features = [row], [], {}, {}
    results.description = {"shape": (2,), "levels": None, "low": -3.0, "high": 3.0, "classes": 0}
    _, page = page_of(results, tmp_path)
    assert "nothing was compared with it" in page.text
    assert "The picture gone.png is missing." in page.text
    assert "--class" not in page.text
    assert "Yardsticks" not in page.text


def test_results_of_a_run_without_the_newer_fields_can_be_read(results, tmp_path):
    path = tmp_path / "results.json"
    results.save(path)
    raw = json.loads(path.read_text())
    del raw["budget"]
    for row in raw["rows"]:
        del row["run"]
    path.write_text(json.dumps(raw))
    assert Results.load(path).budget == 0.0


@pytest.mark.parametrize("shown", [True, False])
def test_seeds_are_told(results, tmp_path, shown):
    results.seeds = 1 if shown else 3
    _, page = page_of(results, tmp_path)
    assert ("One seed" in page.text) is shown
