"""The benchmark on Fashion-MNIST goes on where it was interrupted; here on points, tiny."""

from dataclasses import replace

import pytest

from danlu.contracts import DanluError
from danlu.evaluation.results import Results
from danlu.runs.config import resolve
from danlu.runs.settings import Settings
from danlu.runs.train import choose_data, open_data
from danlu.training import Budget, Trainer
from danlu.training.checkpoint import load_average
from danlu_bench import fashion

POINTS = choose_data("two-moons")


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion, "FOLDER", tmp_path / "bench")
    evaluated = []

    def evaluate(run, request):
        evaluated.append(run.folder.name)
        found = Results("", "two-moons", {}, [], 0, 1, {}, {}, {}, 9, "test split", "", "0")
        found.save(run.folder / "results.json")
        return found

    monkeypatch.setattr(fashion, "evaluate", evaluate)
    return evaluated


@pytest.fixture(scope="module")
def source():
    return open_data(POINTS)


@pytest.fixture
def config(source):
    tiny = Settings(["model.width=8", "train.batch=16"])
    return resolve("rectified-flow", source, POINTS, Budget(steps=6), settings=tiny)


def test_it_goes_on_from_a_checkpoint_and_keeps_what_was_measured(
    bench, source, config, monkeypatch, tmp_path
):
    step = Trainer.round

    def stop(self):
        step(self)
        if self.course.total.steps == 3:
            self.interrupt()

    monkeypatch.setattr(Trainer, "round", stop)
    with pytest.raises(KeyboardInterrupt, match="danlu bench fashion-mnist"):
        fashion._measured(config, source, print)
    assert bench == []
    assert load_average(tmp_path / "bench" / "seed-0")[0].total.steps == 3
    monkeypatch.setattr(Trainer, "round", step)
    fashion._measured(config, source, print)
    assert bench == ["seed-0"]
    assert load_average(tmp_path / "bench" / "seed-0")[0].total.steps == 6
    said = []
    fashion._measured(config, source, said.append)
    assert bench == ["seed-0"]
    assert "kept from before" in said[0]


def test_a_folder_of_other_settings_is_refused(bench, source, config):
    fashion._measured(config, source, print)
    with pytest.raises(DanluError, match="other settings"):
        fashion._measured(replace(config, budget=Budget(steps=7)), source, print)
