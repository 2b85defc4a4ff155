from dataclasses import replace

import pytest

from danlu.generative.tiny import TINY, TINY_VECTOR
from danlu_bench import BENCHMARKS, loop, packing


@pytest.mark.long
def test_the_loop_benchmark_measures_both_loops_and_every_policy(monkeypatch):
    for name, value in (("ROUNDS", 1), ("STEPS", 2), ("WARM", 1)):
        monkeypatch.setattr(loop, name, value)
    small = {"width": 8, "blocks": 1, "features": 8}
    monkeypatch.setattr(loop, "IMAGES", TINY)
    monkeypatch.setattr(loop, "UNET", replace(loop.UNET, description=TINY, settings=small, batch=4))
    monkeypatch.setattr(
        loop, "MLP", replace(loop.MLP, description=TINY_VECTOR, settings=small, batch=4)
    )
    lines = []
    figures = BENCHMARKS["loop"](lines.append)
    assert figures["unet"]["ratio"] > 0
    assert figures["mlp"]["trainer_ms"] > 0
    assert figures["policies"]["float32"]["speedup"] == 1.0
    assert len(figures["policies"]) == 5
    assert any("(chosen here)" in name for name in figures["policies"])
    assert len(lines) == 3 + len(figures["policies"])


@pytest.mark.long
def test_the_packing_benchmark_counts_no_work_on_padding(monkeypatch):
    small = {"DIM": 16, "DEPTH": 1, "CLASSES": 8, "LONGEST": 24, "DOCUMENTS": 4, "ROUNDS": 1}
    for name, value in {**small, "PACKED": 3000}.items():
        monkeypatch.setattr(packing, name, value)
    monkeypatch.setattr(packing, "STACKS", ("softmax",))
    figures = BENCHMARKS["packing"](lambda line: None)
    assert [row["lengths"] for row in figures["rows"]] == ["equal", "uniform", "lognormal"]
    assert all(row["speed"] > 0 for row in figures["rows"])
    assert figures["rows"][0]["padding"] == figures["rows"][0]["padding_of_rows"] == 0
    assert figures["rows"][1]["padding_of_rows"] > figures["rows"][1]["padding"] >= 0
    assert figures["packer"]["fill"] > 0.95
