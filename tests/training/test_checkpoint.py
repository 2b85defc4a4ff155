import json
import shutil
from contextlib import suppress

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from danlu.contracts import DanluError
from danlu.laws.training.small_players import OnePlayer, StopAfter, TwoPlayers, trainer
from danlu.training import Budget, checkpoint
from danlu.training.checkpoint import _digest, load_average, load_newest
from danlu.training.records import record_json
from danlu.training.weights import load_tensors, named_tensors, restore, snapshot

FILES = ["model.safetensors", "average.safetensors", "state.pt", "meta.json"]


def names(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def train(folder, steps=8, stop=10**9, **around):
    run = trainer(
        TwoPlayers,
        Budget(steps=steps),
        folder=folder,
        checkpoint_steps=2,
        hooks=[StopAfter(stop)],
        **around,
    )
    run.run()
    return run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train(folder, stop=7)
    return folder


@pytest.fixture
def stopped(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def test_layout_and_the_last_two_are_kept(trained):
    assert names(trained) == ["000006", "000007", "LATEST"]
    assert sorted(p.name for p in (trained / "checkpoints/000007").iterdir()) == sorted(FILES)
    assert (trained / "checkpoints/LATEST").read_text().split()[0] == "000007"


def test_final_ones_are_kept_for_good(tmp_path):
    train(tmp_path, steps=3)
    train(tmp_path, steps=10)
    assert names(tmp_path) == ["000003", "000008", "000010", "LATEST"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["cut", "gone", "changed"])
def test_damage_to_the_newest_falls_back_and_changes_no_bit(stopped, tmp_path, file, damage):
    path = stopped / "checkpoints/000007" / file
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        half = len(content) // 2
        path.write_bytes(content[:half] if damage == "cut" else content[:half] + b"x" * half)
    run = train(stopped)
    assert len(run.notices) == 1
    assert "000007 is damaged" in run.notices[0]
    straight = train(tmp_path / "straight")
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            snapshot(run.model).values(), snapshot(straight.model).values(), strict=True
        )
    )


def test_nothing_whole_is_an_error_that_says_so(stopped):
    for place in ("000006", "000007"):
        (stopped / "checkpoints" / place / "meta.json").write_text("{")
    with pytest.raises(DanluError, match=r"No checkpoint in .* is whole"):
        load_newest(stopped)
    with pytest.raises(DanluError, match="no checkpoint to load"):
        load_average(stopped)


def test_what_a_kill_left_behind_is_removed(stopped):
    (stopped / "checkpoints/.writing-000008").mkdir()
    (stopped / "checkpoints/.writing-LATEST").write_text("0000")
    saved, notices = load_newest(stopped)
    assert saved.meta.total.steps == 7
    assert notices == []
    assert names(stopped) == ["000006", "000007", "LATEST"]


def test_a_kill_while_a_step_is_saved_again_loses_nothing(stopped, monkeypatch):
    """Cut off before each change of the file system in turn; a checkpoint of step 7 is left."""
    saved = load_newest(stopped)[0]
    shutil.rmtree(stopped / "checkpoints/000006")

    class Killed(BaseException):
        pass

    def cut(patch, kind, name):
        real = getattr(kind, name)

        def call(*args, **options):
            done.append(name)
            if len(done) == last:
                raise Killed
            return real(*args, **options)

        patch.setattr(kind, name, call)

    for last in range(1, 20):
        done = []
        with monkeypatch.context() as patch, suppress(Killed):
            for kind, name in [
                (type(stopped), "rename"),
                (type(stopped), "replace"),
                (shutil, "rmtree"),
            ]:
                cut(patch, kind, name)
            checkpoint.save(stopped, saved)
        assert load_average(stopped)[0].total.steps == 7
        again, notices = load_newest(stopped)
        assert (again.meta, notices) == (saved.meta, [])
        assert names(stopped) == ["000007", "LATEST"]
        if len(done) < last:
            break
    assert last > 4


def test_lost_checkpoints_are_no_fresh_start(stopped):
    for place in ("000006", "000007"):
        shutil.rmtree(stopped / "checkpoints" / place)
    with pytest.raises(DanluError, match="LATEST names 000007, but there is none"):
        load_newest(stopped)


def test_an_abandoned_line_is_removed_and_the_new_one_kept(stopped):
    """After 8 and 9 are damaged, a run goes on from 6 and its own 7 stays."""
    home = stopped / "checkpoints"
    for place in ("000008", "000009"):
        shutil.copytree(home / "000007", home / place)
        (home / place / "meta.json").write_text("{")
    shutil.rmtree(home / "000007")
    (home / "LATEST").write_text("000009\n")
    train(stopped, stop=7)
    assert names(stopped) == ["000006", "000007", "LATEST"]
    assert (home / "LATEST").read_text().split()[0] == "000007"


def test_latest_decides_and_may_be_missing(stopped):
    (stopped / "checkpoints/LATEST").write_text("000006\n")
    assert load_newest(stopped)[0].meta.total.steps == 6
    (stopped / "checkpoints/LATEST").unlink()
    assert load_newest(stopped)[0].meta.total.steps == 7


def test_no_foreign_object_is_unpickled(stopped):
    class Evil:
        def __reduce__(self):
            return print, ("owned",)

    for place in ("000006", "000007"):
        home = stopped / "checkpoints" / place
        torch.save(Evil(), home / "state.pt")
        meta = json.loads((home / "meta.json").read_text())
        meta["digests"]["state.pt"] = _digest(home / "state.pt")
        del meta["digest"], meta["format"]
        (home / "meta.json").write_text(record_json(meta))
    with pytest.raises(DanluError, match=r"state\.pt cannot be read"):
        load_newest(stopped)


def test_averages_load_even_where_the_training_state_is_damaged(stopped):
    (stopped / "checkpoints/000007/state.pt").write_bytes(b"")
    meta, average, notices = load_average(stopped)
    assert meta.total.steps == 7
    assert notices == []
    restore(TwoPlayers().double(), average)


def test_tied_weights_are_stored_once_and_tied_again(tmp_path):
    def tied():
        model = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})
        model["b"].weight = model["a"].weight
        return model

    model, other = tied(), tied()
    assert list(named_tensors(model)) == ["a.weight", "a.bias", "b.bias"]
    save_file(snapshot(model), tmp_path / "w.safetensors")
    restore(other, load_tensors(tmp_path / "w.safetensors"))
    assert torch.equal(other["b"].weight, model["a"].weight)
    assert other["b"].weight is other["a"].weight


def test_memory_order_survives(tmp_path):
    model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    save_file(snapshot(model), tmp_path / "w.safetensors")
    other = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    restore(other, load_tensors(tmp_path / "w.safetensors"))
    assert torch.equal(other.weight, model.weight)
    assert other.weight.is_contiguous(memory_format=torch.channels_last)


def test_weights_of_another_model_are_refused(tmp_path):
    with pytest.raises(DanluError, match="another model"):
        restore(nn.Linear(3, 3), snapshot(nn.Linear(3, 3, bias=False)))
    with pytest.raises(DanluError, match=r"has shape \(2, 3\), expected \(3, 3\)"):
        restore(nn.Linear(3, 3), {**snapshot(nn.Linear(3, 3)), "weight": torch.zeros(2, 3)})
    (tmp_path / "w.safetensors").write_bytes(b"no tensors")
    with pytest.raises(DanluError, match="cannot be read"):
        load_tensors(tmp_path / "w.safetensors")


def test_a_resume_repeats_no_line_of_the_log(tmp_path):
    for stop in (3, 5, 9):
        run = trainer(
            OnePlayer, Budget(steps=9), folder=tmp_path, hooks=[StopAfter(stop)], checkpoint_steps=4
        )
        run.run()
        # What a kill would leave: rows after the checkpoint, the last one cut off.
        with (tmp_path / "metrics.jsonl").open("a") as file:
            file.write('{"step": 99}\n{"step": 1')
    trainer(OnePlayer, Budget(steps=9), folder=tmp_path).run()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in rows]
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (1, 9)
    assert set(rows[0]) == {
        "step",
        "stage",
        "fraction",
        "seconds",
        "player",
        "losses",
        "rate",
        "grad_norm",
        "examples_per_second",
        "digest",
    }
