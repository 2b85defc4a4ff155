"""The studies of diffusion: every crossing of training and sampling, and three U-Nets in turns."""

import pytest
import torch

from danlu.contracts import DanluError
from danlu.generative.diffusion.analytic import two_dimensional
from danlu.generative.diffusion.ddpm import build
from danlu.generative.tiny import TINY
from danlu_bench import BENCHMARKS, crossing, diffusion, side_by_side, unets
from danlu_bench.peers import peer, peer_alone
from danlu_bench.solvers import draws, sliced

TINY_SIZES = unets.Sizes(danlu=8, diffusers=(32, 32, 32), phil_wang=8)


@pytest.mark.long
def test_an_exact_denoiser_crosses_all_paths_and_solvers():
    mixture, generator = two_dimensional(), torch.Generator().manual_seed(0)
    held_out, others = (draws(mixture, 400, generator) for _ in range(2))

    def denoise(y, level):
        return mixture(y.double(), level).float()

    row = crossing.crossed(denoise, (0.01, 50.0), crossing.CROSSED_PATHS, 100, held_out)
    assert len(row) == len(crossing.CROSSED_PATHS) * len(crossing.CROSSED_SOLVERS)
    assert max(row.values()) < 4 * sliced(held_out, others)
    ratio, (path, solver) = crossing.worst(row)
    assert 1.0 <= ratio <= crossing.MOST
    assert row[path, solver] == max(row.values())


def test_a_wrong_conversion_stands_out():
    row = {("linear", str(i)): 0.05 for i in range(5)} | {("linear", "wrong"): 0.2}
    assert crossing.worst(row) == (pytest.approx(4.0), ("linear", "wrong"))


def test_the_crossing_is_written_whole(tmp_path):
    said = []
    figures = BENCHMARKS["crossing"](
        said.append,
        predictions=("score", "v"),
        paths=("linear", "variance-exploding"),
        steps=10,
        points=50,
        evaluations=6,
        folder=tmp_path,
    )
    page = (tmp_path / "crossing.md").read_text(encoding="utf-8")
    assert len(figures["rows"]) == 4
    for row in figures["rows"].values():
        assert len(row) == 2 * len(crossing.CROSSED_SOLVERS)
        assert all(f"{distance:.3f}" in page for distance in row.values())
    assert figures["holds"] == (figures["worst"] <= crossing.MOST)
    assert f"The furthest is {figures['worst']:.2f} times it" in page
    assert any("median" in line for line in said)


def test_a_package_that_is_absent_is_one_line():
    for get in (lambda: peer("no_such_peer"), lambda: peer_alone("no_such_peer.part", {})):
        with pytest.raises(DanluError, match="no_such_peer, which is not installed"):
            get()


def test_the_overhead_is_what_is_outside_the_network(monkeypatch):
    model, now = build(TINY), [0.0]
    forward, sample = model.network.forward, model.sample

    def taking(seconds, function):
        def timed(*given, **options):
            now[0] += seconds
            return function(*given, **options)

        return timed

    monkeypatch.setattr(diffusion, "clock", lambda: now[0])
    model.network.forward = taking(3.0, forward)
    model.sample = taking(20.0, sample)
    inside = 3.0 * diffusion.OVERHEAD_EVALUATIONS
    assert diffusion.overhead(model, "ddim", 2) == pytest.approx(20.0 / (20.0 + inside))


@pytest.mark.long
def test_three_networks_take_turns(tmp_path, monkeypatch):
    monkeypatch.setattr(side_by_side, "ROUNDS", (2, 2))
    monkeypatch.setattr(side_by_side, "LEAST", 0.0)
    monkeypatch.setattr(unets, "EVALUATIONS", 2)
    figures = BENCHMARKS["diffusion"](
        lambda line: None, sizes=TINY_SIZES, batch=2, drawn=1, folder=tmp_path
    )
    page = (tmp_path / "diffusion-speed.md").read_text(encoding="utf-8")
    assert set(figures["parameters"]) == {"danlu", "diffusers", "denoising-diffusion-pytorch"}
    for kind in ("training", "sampling"):
        rows = figures["rows"][kind]
        others = [row["ratio"] for name, row in rows.items() if not name.startswith("danlu")]
        assert len(others) >= 2
        assert figures["ratios"][kind] == min(others)
        assert all(f"{row['rate']:.2f}" in page for row in rows.values())
    assert set(figures["overheads"]) == set(diffusion.SOLVERS_TIMED)
    assert 0.0 < figures["share"] < 1.5


@pytest.mark.long
def test_the_networks_have_one_size():
    counts = {name: make().parameters for name, make in unets.builders(unets.Sizes()).items()}
    assert all(abs(count / counts["danlu"] - 1) <= 0.05 for count in counts.values())
