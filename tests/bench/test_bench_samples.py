"""The studies of sampling on images: whole pages, tiny; what is finished is not drawn again."""

import json
from dataclasses import replace

import pytest
import torch

from danlu.contracts import DanluError
from danlu.evaluation.features.space import FeatureSpace
from danlu.evaluation.results import Measured
from danlu.measuring.figures import Subject
from danlu.runs.config import resolve
from danlu.runs.settings import Settings
from danlu.runs.train import choose_data, open_data
from danlu.training import Budget, Trainer
from danlu_bench import (
    BENCHMARKS,
    diffusion_distance,
    equal_training,
    fashion_solver_rows,
    fewer_steps,
    sample_rows,
    unets,
)

DIGITS = choose_data("digits")
TINY = ("model.width=8", "train.batch=16")
STEPS = Budget(steps=2)


@pytest.fixture(autouse=True)
def space(monkeypatch):
    """A feature space that needs no training."""
    generator = torch.Generator().manual_seed(0)
    project, head = (torch.randn(*shape, generator=generator) for shape in ((64, 6), (6, 10)))
    made = FeatureSpace(
        "classifier",
        "0123abcd",
        lambda x: x.flatten(1) @ project,
        title="projected",
        classify=lambda h: h @ head,
    )
    monkeypatch.setattr(sample_rows, "classifier_space", lambda source: made)


@pytest.fixture
def blocks(monkeypatch):
    """How many blocks of samples were drawn."""
    drawn, block = [], Subject.block

    def counted(self, yard, classes, rows):
        drawn.append(rows)
        return block(self, yard, classes, rows)

    monkeypatch.setattr(Subject, "block", counted)
    return drawn


def solvers_study(home):
    return fashion_solver_rows.Study(
        data="digits",
        settings=TINY,
        budget=STEPS,
        solvers=("ddim", "heun", "dpm-sde"),
        grids=("uniform", "karras"),
        evaluations=(2, 3),
        few=2,
        by_ddim=(2, 4),
        chain=5,
        scales=(1.0, 2.0),
        guided=3,
        samples=60,
        choosing=12,
        shown=(0, 9),
        home=home,
    )


def test_the_study_of_solvers_is_whole_and_goes_on_where_it_was(tmp_path, blocks, monkeypatch):
    study, said, scored = solvers_study(tmp_path / "runs"), [], sample_rows.distance_and_agreement
    score = []

    def stop(x, classes, yard):
        if len(score) == 8:
            raise KeyboardInterrupt
        score.append(len(x))
        return scored(x, classes, yard)

    monkeypatch.setattr(sample_rows, "distance_and_agreement", stop)
    with pytest.raises(KeyboardInterrupt):
        BENCHMARKS["fashion-solvers"](said.append, study=study, folder=tmp_path)
    figures = tmp_path / "runs" / "ddpm" / "figures-0123abcd.json"
    assert len(json.loads(figures.read_text(encoding="utf-8"))) == 8
    before = len(blocks)
    monkeypatch.setattr(sample_rows, "distance_and_agreement", scored)
    first = BENCHMARKS["fashion-solvers"](said.append, study=study, folder=tmp_path)
    # Six choices; the table, DDIM with 4, guided (scale 1 may be in the table) and the chain of 60,
    # each in two blocks.
    best = min(first["distances"], key=lambda name: first["distances"][name][0])
    assert len(blocks) in (6 + 2 * (6 + 1 + 1 + 1), 6 + 2 * (6 + 1 + 2 + 1)), best
    assert len(blocks) > before
    page = (tmp_path / "fashion-solvers.md").read_text(encoding="utf-8")
    for row in first["distances"].values():
        assert all(f"{distance:.2f} ± " in page for distance in row)
    assert f"{first['chain']:.2f} ± " in page
    assert first["verdict"] in page
    assert first["holds"] == (first["ratio"] <= 1.1)
    for name in ("samples", "guidance", "ddim", "distance"):
        assert (tmp_path / f"fashion-solvers-{name}.png").stat().st_size > 0
        assert f"(fashion-solvers-{name}.png)" in page
    drawn = len(blocks)
    again = BENCHMARKS["fashion-solvers"](said.append, study=study, folder=tmp_path)
    assert again == first
    assert len(blocks) == drawn
    assert (tmp_path / "fashion-solvers.md").read_text(encoding="utf-8") == page
    with pytest.raises(DanluError, match="other settings"):
        BENCHMARKS["fashion-solvers"](print, study=replace(study, seed=1), folder=tmp_path)


@pytest.fixture
def sampled(tmp_path):
    source = open_data(DIGITS)
    config = resolve("ddpm", source, DIGITS, STEPS, settings=Settings(TINY))
    run = sample_rows.trained(tmp_path / "run", config, source, "danlu bench mine")
    return sample_rows.SampledRun(run, sample_rows.open_yards(source, 0), lambda line: None)


def test_a_row_goes_on_within_its_samples(sampled, blocks, monkeypatch):
    way = {"solver": "ddim", "evaluations": 2, "guidance": 1.0}
    whole = sampled.images(60, range(60), **way)
    (kept,) = (sampled.subject.folder / "drawn").iterdir()
    kept.unlink()
    block = Subject.block

    def stop(self, yard, classes, rows):
        if rows.start:
            raise KeyboardInterrupt
        return block(self, yard, classes, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Subject, "block", stop)
        with pytest.raises(KeyboardInterrupt):
            sampled.images(60, range(60), **way)
    blocks.clear()
    assert torch.equal(sampled.images(60, range(60), **way), whole)
    assert blocks == [range(50, 60)]
    # What is kept is the samples themselves, on their levels.
    yard = sampled.yards["test"]
    options = replace(sampled.subject.options, **way)
    direct = replace(sampled.subject, options=options).draw(yard, 60)
    torch.testing.assert_close(whole, direct.x, rtol=0.0, atol=1e-6)
    places = sampled.first_of_classes(60, (3, 7))
    told = sampled.subject.asked(yard, 60)
    assert told.ids[places].tolist() == [3, 7]


def test_few_steps_are_compared_on_one_page(tmp_path, blocks):
    small = "model.blocks=1"
    study = fewer_steps.Study(
        data="digits",
        settings=dict.fromkeys(fewer_steps.WAYS, (*TINY, small))
        | {"reflow": (*TINY, small, "model.pairs=16")},
        budget=STEPS,
        evaluations=(1, 2),
        samples=12,
        likelihoods=4,
        shown=(0, 9),
        home=tmp_path / "runs",
    )
    said = []
    first = BENCHMARKS["fewer-steps"](said.append, study=study, folder=tmp_path)
    assert len(blocks) == 2 * len(fewer_steps.WAYS)
    page = (tmp_path / "fewer-steps.md").read_text(encoding="utf-8")
    for row in first["distances"].values():
        assert all(f"{distance:.2f} ± " in page for distance in row)
    value, error = first["bits_per_dim"]
    assert f"| {value:.2f} ± {error:.2f} |" in page
    assert error > 0
    assert "(fewer-steps-samples.png)" in page
    assert BENCHMARKS["fewer-steps"](said.append, study=study, folder=tmp_path) == first
    assert len(blocks) == 2 * len(fewer_steps.WAYS)


def test_images_are_set_into_the_squares_of_the_networks():
    source = open_data(DIGITS)
    framed = equal_training.framed(source.validation)
    x = framed.x()
    assert x.shape[1:] == framed.description.shape == unets.IMAGES.shape
    inside = equal_training.unframed(x, source.description)
    assert torch.equal(inside, source.validation.x())
    # All around is the lowest level.
    around = x.sum() - inside.sum()
    assert around == source.description.low * (x.numel() - inside.numel())
    with pytest.raises(DanluError, match="one channel"):
        equal_training.framed(open_data(choose_data("two-moons")).training)


@pytest.mark.parametrize(("ours", "holds"), [(4.0, True), (5.2, True), (5.4, False)])
def test_a_network_is_as_near_within_two_errors(ours, holds):
    def row(distance):
        measured = Measured(distance, 0.1)
        x = torch.zeros(0, 1, 8, 8)
        return diffusion_distance.Row(
            parameters=1, training=1.0, sampling=1.0, distance=measured, x=x
        )

    rows = {"danlu": row(ours), "diffusers": row(6.0), "denoising-diffusion-pytorch": row(5.0)}
    words, found = diffusion_distance._verdict(rows)
    assert found == holds
    assert "denoising-diffusion-pytorch, the best of the others, 5.00" in words


def distance_study(home):
    return equal_training.Study(
        data="digits",
        sizes=unets.Sizes(danlu=8, diffusers=(32, 32, 32), phil_wang=8),
        images=16,
        batch=4,
        samples=12,
        shown=3,
        home=home,
    )


def test_networks_trained_alike_go_on_where_they_were(tmp_path, monkeypatch):
    """Networks of danlu in place of the others, which are not always installed."""
    makers = {name: lambda: unets.danlu(8) for name in equal_training.SETTINGS}
    monkeypatch.setattr(unets, "EVALUATIONS", 2)
    monkeypatch.setattr(unets, "builders", lambda sizes: makers)
    rounds, step = [], Trainer.round

    def stop(self):
        step(self)
        rounds.append(self.options.folder.name)
        if len(rounds) == 6:
            self.interrupt()

    monkeypatch.setattr(Trainer, "round", stop)
    study, said = distance_study(tmp_path / "runs"), []
    bench = BENCHMARKS["diffusion-distance"]
    with pytest.raises(KeyboardInterrupt, match="danlu bench diffusion-distance"):
        bench(said.append, study=study, folder=tmp_path)
    first = bench(said.append, study=study, folder=tmp_path)
    assert rounds == [name for name in makers for _ in range(4)]
    # The same weights, batches and noise, but for the precision: the first two are twins.
    twin, other, _ = first["distances"].values()
    assert twin == other
    page = (tmp_path / "diffusion-distance.md").read_text(encoding="utf-8")
    assert all(f"| {value:.2f} ± {error:.2f} |" in page for value, error in (twin, other))
    assert f"{first['floor']:.2f} ± " in page
    assert "(diffusion-distance-samples.png)" in page
    assert first["holds"]
    assert bench(said.append, study=study, folder=tmp_path) == first
    assert len(rounds) == 12
    with pytest.raises(DanluError, match="other settings"):
        bench(said.append, study=replace(study, rate=1e-4), folder=tmp_path)


@pytest.mark.long
def test_the_three_networks_are_trained_and_drawn_from(tmp_path, monkeypatch):
    monkeypatch.setattr(unets, "EVALUATIONS", 2)
    study, said = distance_study(tmp_path / "runs"), []
    figures = BENCHMARKS["diffusion-distance"](said.append, study=study, folder=tmp_path)
    assert list(figures["distances"]) == list(equal_training.SETTINGS)
    source = open_data(DIGITS)
    for name in figures["distances"]:
        contender, outcome = equal_training.trained(study, name, source)
        assert (outcome.steps, outcome.examples) == (4, 16)
        torch.manual_seed(0)
        x, y = contender.sample(2), contender.sample(2)
        torch.manual_seed(0)
        assert torch.equal(contender.sample(2), x), name
        assert not torch.equal(x, y), name
        # Networks that have learned nothing go to both ends of the scale.
        assert x.min() < -0.5, name
        assert x.max() > 0.5, name
