"""What `--track tensorboard` writes is the run's own diary."""

import json

import numpy as np
import pytest
from PIL import Image

from danlu.cli.main import main
from danlu.runs import tracking

SMALL = ("--set", "model.width=8", "--set", "train.batch=16")


def test_a_missing_package_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    folder = tmp_path / "run"
    command = ["train", "gan", "two-moons", "--steps", "2", "--out", str(folder)]
    assert main([*command, "--track", "tensorboard"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install tensorboard" in line
    assert not folder.exists()


@pytest.mark.long
def test_events_say_what_the_diary_says(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "run"
    command = ["train", "gan", "two-moons", "--steps", "5", "--out", str(folder), *SMALL]
    assert main([*command, "--track", "tensorboard"]) == 0
    again = ["train", "--resume", str(folder), "--steps", "8", "--track", "tensorboard"]
    assert main(again) == 0
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {row["player"] for row in rows} == {"critic", "generator"}
    for player in ("critic", "generator"):
        own = [row for row in rows if row["player"] == player]
        part = "critic" if player == "critic" else "generator"
        found = events.Scalars(f"train/{player}/{part}")
        assert [event.step for event in found] == [row["step"] for row in own]
        values = [row["losses"][part] for row in own]
        np.testing.assert_allclose([event.value for event in found], values, rtol=1e-6)
        rates = [event.value for event in events.Scalars(f"train/{player}/rate")]
        np.testing.assert_allclose(rates, [row["rate"] for row in own], rtol=1e-6)
    lines = (folder / "samples" / "pictures.jsonl").read_text().splitlines()
    pictures = [json.loads(line) for line in lines]
    shown = events.Images("samples")
    assert [event.step for event in shown] == [row["step"] for row in pictures]
    with Image.open(folder / pictures[-1]["path"]) as image:
        assert (shown[-1].width, shown[-1].height) == image.size
