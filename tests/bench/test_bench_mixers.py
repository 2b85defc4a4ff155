"""The benchmark of mixers compares, judges and writes its page; here with tiny layers."""

import pytest
import torch

from danlu_bench import mixer_cases, mixers, side_by_side

pytestmark = pytest.mark.long


@pytest.fixture
def tiny(monkeypatch):
    of_cases = {
        "DIM": 8,
        "HEAD": 4,
        "HEADS": 2,
        "SCAN_LENGTHS": {16: 1e-9, 32: 1e9},
        "TRANSFORMERS_LENGTHS": {8: 1e-9},
        "MAMBAPY_LENGTHS": {8: 1e-9},
        "LOOP_LENGTH": 16,
        "LAYER_SHAPES": {7: 2},
    }
    for name, value in of_cases.items():
        monkeypatch.setattr(mixer_cases, name, value)
    sizes = {"DIM": 8, "DOUBLED": (16, 32), "RECURRENT": ("linear", "lstm"), "LATE": 30,
             "STEP_ROUNDS": (1, 1)}  # fmt: skip
    for name, value in sizes.items():
        monkeypatch.setattr(mixers, name, value)
    for name, value in {"ROUNDS": (1, 1), "LEAST": 0.0}.items():
        monkeypatch.setattr(side_by_side, name, value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of imports of peers
def test_every_comparison_is_made_and_judged(tiny, tmp_path):
    lines = []
    figures = mixers.run(lines.append, folder=tmp_path)
    rows = figures["rows"]
    assert {row["peer"] for row in rows} >= {"transformers", "mambapy", "x-transformers", "torch"}
    assert all(ratio > 0 for row in rows for ratio in row["ratios"].values())
    recurrent = [row for row in rows if row["group"].startswith(("Mamba", "Rec", "SSD"))]
    assert all({"torch", "kernels"} <= set(row["ratios"]) for row in recurrent)
    by_length = {row["length"]: row["holds"] for row in rows if row["what"] == "retention"}
    assert by_length == {16: True, 32: False}
    assert figures["holds"] is False
    missed = [row for row in rows if not row["holds"]]
    assert all(0 < sum(share for _, share in row["spent"]) <= 1.0001 for row in missed)
    assert all(row["products"] > 0 for row in missed)
    assert [row["what"] for row in figures["steps"]] == ["linear", "lstm"]
    assert len(figures["mamba"]["growth"]) == 1
    page = (tmp_path / "mixers.md").read_text(encoding="utf-8")
    assert page.startswith("# Mixers beside others")
    assert "What bounds the rows that miss their goal" in page
    assert (tmp_path / "mixers-recurrences.png").is_file()


def test_a_peer_that_is_missing_is_said_and_not_judged(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(mixer_cases, "mambapy_mamba", lambda: None)
    lines = []
    peers = (case for case in mixer_cases.mamba_cases() if case.peer == "mambapy")
    figures = mixers.run(lines.append, compared=peers, folder=tmp_path)
    (row,) = figures["rows"]
    assert row["holds"] is None
    assert "mambapy is not installed" in lines[0]
    assert "not installed" in (tmp_path / "mixers.md").read_text(encoding="utf-8")


def test_the_loops_of_the_comparison_compute_what_the_scan_does():
    torch.manual_seed(0)
    parts = (*mixer_cases.heads(20), mixer_cases.decays(20))
    expected = mixer_cases._ssd(*parts)
    for way in (mixer_cases._by_tokens, mixer_cases._by_index):
        torch.testing.assert_close(way(*parts), expected, rtol=1e-4, atol=1e-4)


def test_what_is_kept_for_the_gradient_is_counted_once():
    weight = torch.nn.Linear(4, 4, bias=False)
    x = torch.randn(3, 4, requires_grad=True)
    # The input of the map and the output of the activation; the weight is left out.
    kept = mixers.saved(torch.nn.Sequential(weight, torch.nn.Tanh()), x)
    assert sorted(kept) == [48, 48]
