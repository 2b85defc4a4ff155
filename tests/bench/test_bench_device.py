"""The benchmark of a device makes its rows; here the CPU stands beside itself."""

import pytest

from danlu_bench import device

pytestmark = pytest.mark.long


def test_every_row_has_both_figures(monkeypatch):
    monkeypatch.setattr(device, "FAMILIES", ("vae",))
    monkeypatch.setattr(device, "LAYERS", ("linear",))
    lines = []
    figures = device.run(lines.append, device="cpu")
    assert figures["device"] == "cpu"
    assert len(figures["rows"]) == 3
    assert all(row["cpu"] > 0 and row["device"] > 0 for row in figures["rows"].values())
    assert "no other device" in lines[0]
