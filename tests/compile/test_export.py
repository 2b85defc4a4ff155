"""Exported files give what the model gives, and the page on sampling without danlu is true.

Run with `JAXTYPING_DISABLE=1`: the run-time check of annotations is no part of a graph.
"""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from danlu.cli.main import main
from danlu.contracts import DataDescription
from danlu.generative.chain import Chain
from danlu.generative.parts.affine import Normalise
from danlu.generative.parts.dequantise import Dequantise
from danlu.generative.parts.priors import LogisticPrior
from danlu.generative.parts.split import Split
from danlu.runs.export import difference
from danlu.runs.export import export as export_run
from danlu.runs.export.formats import FORMATS
from danlu.runs.folders import open_run
from danlu.training import policy

pytestmark = pytest.mark.long

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "export.md"
SMALL = ("--set", "model.width=8", "--set", "train.batch=16")
PARTS = {
    ("vae", "digits"): {"decoder", "decoder-mean"},
    ("gan", "two-moons"): {"generator"},
    ("wgan", "digits"): {"generator"},
    ("rectified-flow", "two-moons"): {"denoiser"},
    ("ddpm", "digits"): {"denoiser"},
    ("flow", "digits"): {"decoder"},
    ("vq", "digits"): {"decoder"},
    ("latent-flow", "digits"): {"denoiser", "decoder", "decoder-mean"},
}


def trained(folder, family, data, *arguments):
    command = ["train", family, data, "--steps", "20", "--out", str(folder), *arguments]
    assert main(command) == 0
    return folder


def blocks(language):
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def in_float32(monkeypatch):
    """Runs are trained and sampled as on a machine without bfloat16."""
    monkeypatch.setattr(policy, "multiplies_bfloat16", lambda device: False)


@pytest.mark.parametrize(("family", "data"), PARTS)
def test_every_part_equals_the_model(tmp_path, capsys, family, data):
    run = trained(tmp_path / "run", family, data, *SMALL)
    capsys.readouterr()
    code = main(["export", str(run), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (code, told["refused"]) == (0, {})
    names = {f"{part}.{ending}" for part in PARTS[family, data] for ending in FORMATS}
    assert set(told["errors"]) == names
    assert all(error <= 1e-4 for error in told["errors"].values())
    manifest = json.loads((run / "export" / "manifest.json").read_text())
    assert set(manifest["parts"]) == PARTS[family, data]


@pytest.mark.usefixtures("in_float32")
def test_the_page_samples_the_same_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (script,) = blocks("python")
    lines = [line for line in script.splitlines() if line.strip()]
    assert len(lines) <= 36
    (tmp_path / "alone.py").write_text(
        "import sys\nsys.modules['danlu'] = sys.modules['torch'] = None\n" + script
    )
    for line in "".join(blocks("bash")).splitlines():
        assert main(shlex.split(line)[1:]) == 0
    done = subprocess.run(
        [sys.executable, "alone.py"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == "largest difference: 0e+00\n", done.stderr
    drawn = np.load("drawn.npz")
    assert np.unique(drawn["x"]).size > 3
    assert drawn["y"].tolist() == np.load("runs/flow/export/example.npz")["class_id"].tolist()
    assert np.abs(np.load("sampled.npy") - drawn["x"]).max() <= 1e-3


@pytest.mark.usefixtures("in_float32")
@pytest.mark.parametrize("family", ["vae", "gan"])
def test_one_pass_gives_the_example(tmp_path, family):
    """The noise of the example through the file alone, rounded as the README says."""
    import onnxruntime

    run = trained(tmp_path / "run", family, "digits", *SMALL)
    assert main(["export", str(run), "--format", "onnx"]) == 0
    folder = run / "export"
    name = {"vae": "decoder", "gan": "generator"}[family]
    assert {path.suffix for path in folder.glob(f"{name}.*")} == {".onnx"}
    session = onnxruntime.InferenceSession(folder / f"{name}.onnx")
    example = np.load(folder / "example.npz")
    noise = [example[key] for key in sorted(example) if key.startswith("noise")]
    given = [port.name for port in session.get_inputs()]
    inputs = dict(zip(given, [*noise, example["class_id"]], strict=True))
    x = session.run(None, inputs)[0]
    if family == "vae":
        data = json.loads((folder / "manifest.json").read_text())["data"]
        x = data["low"] + data["step"] * np.round((x - data["low"]) / data["step"])
        x = x.clip(data["low"], data["high"])
    assert np.abs(x - example["x"]).max() <= 1e-3
    assert main(["sample", str(run), "--n", "8", "--out", str(tmp_path / "x.npz")]) == 0
    assert np.abs(np.load(tmp_path / "x.npz")["x"] - x).max() <= 1e-3


def a_chain():
    """Rounding, an affine map, and a split whose second half is drawn."""
    description = DataDescription(shape=(2,), levels=5, low=-1.0, high=1.0)
    code = DataDescription(shape=(1,), levels=None, low=-3.0, high=3.0)
    layers = [
        Dequantise(description),
        Normalise(torch.tensor([0.1, -0.2]), torch.tensor([0.5, 2.0])),
        Split(1, nn.Linear(1, 2)),
    ]
    return Chain(description, layers, LogisticPrior(code)).eval()


@pytest.mark.parametrize("ending", FORMATS)
def test_any_chain_is_a_function_of_its_code_and_noise(tmp_path, ending):
    from danlu.runs.export.formats import traced

    chain = a_chain()
    part = chain.exports(chain.Options())["decoder"]
    assert list(part.inputs) == ["code", "noise_0"]
    path = tmp_path / f"decoder.{ending}"
    FORMATS[ending].write(traced(part), part, path)
    assert difference(part, path) <= 1e-6
    # Unrounded values next to a sample of the same noise.
    code, noise = part.example(6)
    x = part.module(code, noise).detach()
    low, step = chain.description.low, chain.description.spacing
    rounded = (low + step * ((x - low) / step).round()).clamp(-1, 1)
    decoded = chain.decode((code, chain.links[2].decode(code, None, Given(noise))[:, 1:]))
    torch.testing.assert_close(rounded, decoded)


class Given:
    """One draw that was made before."""

    def __init__(self, values):
        self.values = values

    def normal(self, *shape):
        return self.values


def test_a_file_that_differs_is_not_kept(tmp_path, monkeypatch):
    found = open_run(trained(tmp_path / "run", "gan", "two-moons", *SMALL))
    model, _, _ = found.model()
    spoilt = replace(
        FORMATS["pt2"], read=lambda path: lambda inputs: torch.zeros(len(inputs[0]), 2)
    )
    monkeypatch.setitem(FORMATS, "pt2", spoilt)
    done = export_run(found, model, tmp_path / "out", ["pt2"])
    assert "differs from the model" in done.refused["generator.pt2"]
    assert done.errors == {}
    assert not (tmp_path / "out" / "generator.pt2").exists()
