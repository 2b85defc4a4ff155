"""The verbs that look: eval, report, check, list, explain, bench."""

import contextlib
import io
import json
import re
from dataclasses import replace

import pytest

import danlu_bench as benchmarks
from danlu import laws as checks
from danlu.catalogue.listing import TABLES
from danlu.cli.main import main
from danlu.data import Examples
from danlu.evaluation.metrics import METRICS
from danlu.evaluation.results import Results, RowKind
from danlu.generative import FAMILIES
from danlu.laws.law import Law
from danlu.measuring import evaluate


@pytest.fixture(scope="module")
def evaluated(plane_gan, tmp_path_factory):
    """A GAN measured on the test split, and what the command said."""
    home, said = tmp_path_factory.mktemp("evaluated"), io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["eval", str(plane_gan), "--n", "60", "--out", str(home)]) == 0
    return home, said.getvalue()


def test_eval_of_a_gan_says_why_it_has_no_likelihood(evaluated):
    _, said = evaluated
    assert "GAN has no log_prob: its samples have no density" in said
    assert "sliced-wasserstein@pixels" in said


def test_eval_refuses_a_model_without_the_required_capability(plane_gan, capsys):
    assert main(["eval", str(plane_gan), "--require", "log_prob"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("danlu: GAN has no log_prob")
    assert "use vae" in line


def test_eval_writes_results_with_the_yardsticks(evaluated):
    results = Results.load(evaluated[0] / "results.json")
    kinds = [row.kind for row in results.rows]
    assert kinds[:3] == [RowKind.MODEL, RowKind.FLOOR, RowKind.TRAIN_COPY]
    model, floor, _ = results.rows[:3]
    key = "sliced-wasserstein@pixels"
    assert model.metrics[key].value > floor.metrics[key].value
    assert {name.partition("@")[0] for name in model.metrics} <= set(METRICS)
    assert results.reference == "test split"
    assert model.samples == 60


def test_a_choice_does_not_read_the_test_split(danlu, plane_vae, monkeypatch):
    read, opened = [], []

    class Watched(Examples):
        def x(self, indices=None):
            read.append(self)
            return super().x(indices)

    def open_data(choice):
        source = original(choice)
        parts = {
            name: Watched(part.values, part.condition, part.description)
            for name in ("training", "validation", "test")
            if (part := getattr(source, name))
        }
        opened.append(replace(source, **parts))
        return opened[-1]

    original = evaluate.open_data
    monkeypatch.setattr(evaluate, "open_data", open_data)
    done = danlu("eval", plane_vae, "--n", "40", "--split", "validation", "--out", "x", "--json")
    assert done.code == 0
    rows = json.loads(done.out)["rows"]
    assert "floor" not in {row["kind"] for row in rows}
    assert rows[0]["evidence"]["bound"] == "lower"
    assert any(each is opened[0].validation for each in read)
    assert not any(each is opened[0].test for each in read)


def test_eval_of_bad_input(refused, plane_vae):
    assert "did you mean 'validation'?" in refused("eval", plane_vae, "--split", "valid")
    assert "must be at least 1" in refused("eval", plane_vae, "--n", "0")
    assert "this command sets sampler" in refused("eval", plane_vae, "--set", "train.batch=3")


def test_report_is_written_again(danlu, evaluated, refused, tmp_path):
    home, _ = evaluated
    (home / "report.html").unlink()
    assert danlu("report", home, "--no-neighbours").code == 0
    page = (home / "report.html").read_text()
    assert "Nearest training examples" not in page
    assert "has no results.json" in refused("report", tmp_path)


def test_check_prints_errors_beside_tolerances(danlu):
    done = danlu("check", "evidence")
    assert done.code == 0
    *rows, oracles, held = done.out.splitlines()[1:]
    assert all("≤" in line for line in rows)
    assert oracles.startswith("against: ")
    assert sum(map(int, re.findall(r"[0-9]+", oracles))) == len(rows)
    assert "laws hold" in held


@pytest.mark.long
def test_check_shows_the_worst_of_many_draws(danlu):
    done = danlu("check", "codebook", "--seeds", "3", "--json")
    rows = json.loads(done.out)["laws"]
    assert {row["seed"] for row in rows} <= {0, 1, 2}
    assert all(row["oracle"] for row in rows)
    assert "at each of 3 seeds" in danlu("check", "evidence", "--seeds", "3").out
    assert danlu("check", "--seeds", "0").code == 2


def test_check_fails_when_a_law_does_not_hold(danlu, monkeypatch):
    laws = [
        Law("false/one", "1 is 0", 0.5, lambda: 1.0, oracle="closed form"),
        Law("false/lost", "NaN is nothing", 0.5, lambda: float("nan"), oracle="closed form"),
        Law("true/one", "0 is 0", 0.5, lambda: 0.0, oracle="closed form"),
    ]
    monkeypatch.setattr(checks, "LAWS", laws)
    done = danlu("check", "--json")
    assert done.code == 1
    assert json.loads(done.out)["failed"] == ["false/one", "false/lost"]
    assert danlu("check", "true").code == 0


def test_check_takes_a_class_of_ones_own(danlu):
    done = danlu("check", "danlu.generative.vae.vae:build")
    assert done.code == 0
    assert "family/build/purity" in done.out


def test_list_names_everything(danlu):
    out = danlu("list").out
    for room in TABLES.values():
        assert all(name in out for name in room.table)
    assert "loop" in out
    assert "two-moons" in danlu("list", "data").out
    assert set(json.loads(danlu("list", "families", "--json").out)["families"]) == set(FAMILIES)


def test_explain_gives_idea_sources_settings_and_laws(danlu):
    out = danlu("explain", "rectified-flow").out
    for part in ("straight lines", "arXiv:2209.03003", "--set sampler.guidance=", "Laws that"):
        assert part in out
    rows = json.loads(danlu("explain", "coverage", "--json").out)
    assert rows[0]["sources"] == list(METRICS["coverage"].sources)


@pytest.mark.parametrize(("holds", "code"), [(True, 0), (False, 1)])
def test_bench_runs_what_the_table_names(danlu, monkeypatch, holds, code):
    def run(report):
        report("half way")
        return {"figure": 2.5, "holds": holds}

    monkeypatch.setattr(benchmarks, "BENCHMARKS", {"mine": run})
    done = danlu("bench", "mine", "--json")
    assert (done.code, json.loads(done.out)) == (code, {"figure": 2.5, "holds": holds})
    assert "half way" in done.err


@pytest.mark.parametrize("n", [1, 5])
def test_too_few_samples_are_told_beside_what_they_give(danlu, plane_gan, n):
    done = danlu("eval", plane_gan, "--n", n, "--out", plane_gan.parent / f"few-{n}.html")
    assert done.code == 0
    assert "needs 6 examples" in done.out + done.err


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"rows": 3}'])
def test_damaged_results_are_one_line(refused, tmp_path, text):
    (tmp_path / "results.json").write_text(text)
    assert "results.json" in refused("report", tmp_path)


def test_an_unfinished_race_is_measured_run_by_run(refused, plane_gan):
    line = refused("report", plane_gan.parent)
    assert f"danlu eval {plane_gan}" in line
