"""Budgets by examples and parameters, seeds, interruptions: a race of tiny models, whole."""

import json
import math
import os
import re
from pathlib import Path

import pytest

from danlu.cli.main import main
from danlu.contracts import DanluError
from danlu.evaluation.report import write_report
from danlu.evaluation.results import Measured, Results, Row, RowKind
from danlu.measuring import planning
from danlu.races.members import members_of
from danlu.races.repeats import combined
from danlu.races.request import RaceRequest
from danlu.races.resuming import LOST, RaceState
from danlu.races.sizing import parameter_count, steps_for, width_for
from danlu.runs.config import resolve
from danlu.runs.folders import require_new
from danlu.runs.train import choose_data, open_data
from danlu.training import Budget

POINTS = choose_data("two-moons")


@pytest.fixture(autouse=True)
def _few_samples(monkeypatch):
    """Exact transport between a thousand points takes seconds."""
    monkeypatch.setattr(planning, "MOST_SAMPLES", 100)


@pytest.fixture(scope="module")
def source():
    return open_data(POINTS)


def request(folder, **fields):
    given = {"examples": 512, "families": ("vae", "gan"), "data": POINTS, **fields}
    return RaceRequest(folder=folder, **given)


def config(source, family):
    return resolve(family, source, POINTS, Budget(minutes=1.0))


@pytest.mark.parametrize("family", ["vae", "gan", "rectified-flow"])
def test_the_width_comes_nearest_the_parameters(source, family):
    made = config(source, family)
    width, reached = width_for(made, 30_000)
    others = [parameter_count(made, {"width": width + step}) for step in (-8, 8)]
    assert reached == parameter_count(made, {"width": width})
    assert abs(reached - 30_000) <= min(abs(count - 30_000) for count in others)


def test_examples_count_every_play(source):
    vae, gan = config(source, "vae"), config(source, "gan")
    assert steps_for(vae, 256 * 7) == 7
    assert steps_for(gan, 256 * 8) == 4  # a critic and a generator play in each round
    latent = config(source, "latent-flow")
    assert steps_for(latent, 256 * 10) == 10
    with pytest.raises(DanluError, match=r"too few for latent-flow.* 2 stages"):
        steps_for(latent, 256)


def test_a_width_that_was_set_and_parameters_exclude_each_other(source, tmp_path):
    asked = request(tmp_path, parameters=20_000, settings=("vae.model.width=16",))
    with pytest.raises(DanluError, match="--parameters chooses the width of vae"):
        members_of(asked, source)


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"minutes": 1.0}, "either minutes or examples"),
        ({"examples": None}, "either minutes or examples"),
        ({"examples": None, "minutes": 0.1}, "at least 20 seconds"),
        ({"seeds": (1, 1)}, "seed is named twice: 1, 1"),
        ({"families": ("vae", "vae")}, "family is named twice"),
    ],
)
def test_requests_that_make_no_sense_are_refused(tmp_path, fields, hint):
    with pytest.raises(DanluError, match=hint):
        request(tmp_path, **fields)


def test_a_request_comes_back_from_its_file(tmp_path):
    asked = request(tmp_path, seeds=(3, 4), settings=("vae.model.width=16",), command="danlu race")
    RaceState.begun(asked)
    state, damage = RaceState.load(tmp_path)
    again = state.request.request(tmp_path, None, None)
    assert (again.asked(), damage) == (asked.asked(), "")
    assert again.of_seed(4).folder == tmp_path / "seed-4"


def test_the_default_families_are_the_racers_that_the_table_has():
    from danlu.cli import race
    from danlu.generative import FAMILIES as KNOWN
    from danlu.races.request import FAMILIES, RACERS

    assert tuple(race.RACERS.split(",")) == RACERS
    assert set(FAMILIES) == set(RACERS) & set(KNOWN)


# --- going on -----------------------------------------------------------------------------------


def test_what_a_checkpoint_kept_counts_and_the_rest_is_lost(tmp_path, monkeypatch):
    trained = {"vae": 10.0, "gan": 4.0}
    monkeypatch.setattr("danlu.races.resuming.trained_seconds", lambda folder: trained[folder.name])
    members = {name: tmp_path / name for name in trained}
    state = RaceState.begun(request(tmp_path))
    state.elapsed, state.used, state.counted = 15.0, {"training": 10.0}, {"vae": 10.0}
    state.save(tmp_path)
    (tmp_path / "alive").write_text("7.5")  # seconds since then, of which a checkpoint kept 4
    state, _ = RaceState.load(tmp_path)
    state.resumed(tmp_path, members)
    assert (state.elapsed, state.used["training"], state.lost) == (19.0, 14.0, 3.5)
    state, _ = RaceState.load(tmp_path)
    state.resumed(tmp_path, members)  # killed at once: nothing more is kept, nothing more is lost
    assert (state.elapsed, state.lost, state.interruptions) == (19.0, 3.5, 2)
    assert "interrupted 2 times" in state.told()


def test_a_folder_with_a_race_says_how_to_go_on(tmp_path):
    RaceState.begun(request(tmp_path))
    with pytest.raises(DanluError, match=re.escape(f"`danlu race --resume {tmp_path}`")):
        require_new(tmp_path)
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(DanluError) as told:
        require_new(tmp_path)
    assert "--resume" not in str(told.value)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["race"], "Give data"),
        (["race", "digits", "--seeds", "0,x"], "invalid list of whole numbers"),
        (["race", "digits", "--seeds", "0,1", "--seed", "2"], "leave out --seed"),
        (["race", "digits", "--minutes", "1", "--examples", "9"], "not allowed with"),
        (["race", "digits", "--resume", "x", "--minutes", "1"], "leave out --minutes, the data"),
        (["race", "--resume", "nowhere"], "nowhere is no race"),
    ],
)
def test_the_command_line_refuses(capsys, arguments, hint):
    assert main(arguments) == 2
    assert hint in capsys.readouterr().err


# --- seeds --------------------------------------------------------------------------------------


def result(seed, value, *, failure=""):
    metrics = {} if failure else {"wasserstein": Measured(value, 0.1)}
    rows = [
        Row("vae", RowKind.MODEL, metrics=metrics, failure=failure),
        Row("held-out data", RowKind.FLOOR, metrics={"wasserstein": Measured(0.5, 0.1)}),
    ]
    notices = ["said by all", f"said by {seed}"]
    return Results(
        "Race", "two-moons", {}, rows, seed, 1, {"training": (1.0, 2.0)}, {}, {}, 9, "test split",
        "danlu race", "0", notices,
    )  # fmt: skip


def test_seeds_are_combined_and_failures_named():
    folders = ["seed-0", "seed-1", "seed-2"]
    whole = combined([result(i, 1.0 + i) for i in range(3)], folders, "danlu race")
    assert (whole.seeds, whole.split) == (3, {"training": (3.0, 6.0)})
    vae, floor = whole.rows
    assert vae.metrics["wasserstein"].value == 2.0
    assert vae.metrics["wasserstein"].over_seeds == pytest.approx(1 / 3**0.5)
    assert floor.metrics["wasserstein"] == Measured(0.5, 0.1)
    assert whole.notices == ["said by all", "seed 0: said by 0", "seed 1: said by 1",
                             "seed 2: said by 2"]  # fmt: skip
    broken = combined(
        [result(0, 1.0), result(1, 2.0), result(2, 0.0, failure="NaN")], folders, "danlu race"
    )
    assert broken.rows[0].seeds == 2
    assert "vae failed with seed 2 and is left out of its means: NaN" in broken.notices


# --- whole races --------------------------------------------------------------------------------

TINY = ("--set", "model.width=8", "--set", "train.batch=32")


def names(results, kind):
    return [row.name for row in results.rows if row.kind is kind]


@pytest.mark.long
def test_a_race_by_examples_under_two_seeds(tmp_path, capsys):
    folder = tmp_path / "race"
    arguments = ["race", "two-moons", "--examples", "2000", "--families", "vae,rectified-flow"]
    assert main([*arguments, "--seeds", "5,7", "--out", str(folder), *TINY]) == 0
    out = capsys.readouterr().out
    assert "Steps for 2,000 examples each: vae 62, rectified-flow 62." in out
    results = Results.load(folder / "results.json")
    assert names(results, RowKind.MODEL) == ["vae", "rectified-flow"]
    assert names(results, RowKind.NON_PARAMETRIC) == ["kernel density"]
    assert names(results, RowKind.SANITY) == ["values shuffled"]
    vae, flow = results.rows[:2]
    assert vae.examples == flow.examples == 62 * 32
    assert vae.seeds == 2
    assert vae.metrics["wasserstein"].over_seeds > 0
    assert len(next(iter(flow.by_evaluations.values()))) >= 4
    assert len(next(iter(vae.by_evaluations.values()))) == 1
    assert all((folder / row.grids[-1].path).exists() for row in results.rows)
    alone = Results.load(folder / "seed-5" / "results.json")
    assert alone.rows[0].metrics["wasserstein"] != vae.metrics["wasserstein"]
    assert main(["report", str(folder / "seed-5"), str(folder / "seed-7")]) == 0
    page = (folder / "seed-7" / "comparison.html").read_text()
    assert "vae: seed" in page
    assert main(["race", "--resume", str(folder)]) == 2
    assert "is a finished race" in capsys.readouterr().err


@pytest.mark.long
def test_an_interrupted_race_goes_on_to_the_same_models(tmp_path, monkeypatch, capsys):
    arguments = ["race", "two-moons", "--examples", "1600", "--families", "vae,rectified-flow"]
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    assert main([*arguments, "--out", str(straight), *TINY]) == 0

    from danlu.races.resuming import Heartbeat

    calm = Heartbeat.on_round

    def stop(self, trainer, progress):
        calm(self, trainer, progress)
        if trainer.status().step == 20:
            trainer.interrupt()

    monkeypatch.setattr(Heartbeat, "on_round", stop)
    assert main([*arguments, "--out", str(broken), *TINY]) == 130
    assert f"danlu race --resume {broken}" in capsys.readouterr().err
    assert main([*arguments, "--out", str(broken), *TINY]) == 2
    monkeypatch.setattr(Heartbeat, "on_round", calm)
    assert main(["race", "--resume", str(broken)]) == 0
    first, second = (Results.load(each / "results.json") for each in (straight, broken))
    assert [row.metrics for row in first.rows] == [row.metrics for row in second.rows]
    assert LOST in second.split
    assert any("interrupted once" in line for line in second.notices)
    steps = [row.grids[-1].path for row in second.rows[:2]]
    assert len(steps) == len(set(steps))


@pytest.mark.long
def test_a_member_that_fails_is_told_and_the_exit_code_is_1(tmp_path, capsys):
    arguments = ["race", "two-moons", "--examples", "640", "--families", "vae,gan", *TINY]
    bad = ["--set", "vae.optimizer.rate=1e30", "--set", "vae.train.max_grad_norm=1e30"]
    assert main([*arguments, *bad, "--out", str(tmp_path / "race")]) == 1
    assert "vae has no figures" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.parametrize("call", range(6))
def test_a_race_killed_around_any_of_its_first_files_is_begun_or_gone_on_with(
    tmp_path, monkeypatch, call
):
    """What is there after a kill before one of the first writes is never in the way."""
    arguments = ["race", "two-moons", "--examples", "320", "--families", "vae", "--seeds", "1,2"]
    folder = tmp_path / "race"
    replace, calls = Path.replace, []

    def killed(path, target):
        calls.append(target)
        if len(calls) == call + 1:
            os._exit(9)
        return replace(path, target)

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(Path, "replace", killed)
        main([*arguments, "--out", str(folder), *TINY])
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    goes_on = (folder / "race.json").exists()
    again = ["race", "--resume", str(folder)] if goes_on else [*arguments, "--out", str(folder)]
    assert main(again if goes_on else [*again, *TINY]) == 0


def test_a_plan_without_seconds_and_figures_without_a_number_are_plain_json(tmp_path):
    state = RaceState(request=RaceState.begun(request(tmp_path / "race")).request)
    state.plan = planning.Allotment(
        samples=1, points=1, efforts=0, training=math.inf, scoring=0.0, parts={}
    )
    state.save(tmp_path)
    json.loads((tmp_path / "race.json").read_text(), parse_constant=pytest.fail)
    assert RaceState.load(tmp_path)[0].plan == state.plan
    row = Row("vae", RowKind.MODEL, metrics={"wasserstein": Measured(math.inf, math.nan)})
    results = Results(
        title="", data="", description={}, rows=[row], seed=0, seeds=1, split={}, features={},
        machine={}, held_out=1, reference="", command="", version="",
    )  # fmt: skip
    results.save(tmp_path / "results.json")
    json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)
    read = Results.load(tmp_path / "results.json")
    assert math.isnan(read.rows[0].metrics["wasserstein"].value)
    assert read.notices == []
    assert "not finite" in write_report(read, tmp_path).read_text()
