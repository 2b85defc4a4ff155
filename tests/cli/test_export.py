"""What `danlu export` refuses, and how it says so."""

import pytest

from danlu.generative.gan.gan import GAN
from danlu.runs.export import export, formats
from danlu.runs.folders import open_run


def test_a_missing_extra_is_one_line(refused, plane_gan, monkeypatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "onnxscript" else name)
    line = refused("export", plane_gan)
    assert "need onnxscript: pip install onnx onnxruntime onnxscript" in line
    assert "--format pt2" in line


@pytest.mark.parametrize(
    ("instead", "reason"),
    [({}, "declares no function"), ({"export": "it is a table."}, "it is a table")],
)
def test_a_family_without_exports_says_why(tmp_path, plane_gan, monkeypatch, instead, reason):
    run = open_run(plane_gan)
    model, _, _ = run.model()
    monkeypatch.setattr(GAN, "exports", lambda self, options: {})
    monkeypatch.setattr(GAN, "instead", instead)
    with pytest.raises(ValueError, match=reason):
        export(run, model, tmp_path / "out", ["pt2"])
    assert not (tmp_path / "out").exists()


def test_an_unknown_format_is_refused(refused, plane_gan):
    assert "onnx" in refused("export", plane_gan, "--format", "tflite")
