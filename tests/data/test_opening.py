import numpy as np
import pytest

from danlu.contracts import DanluError
from danlu.data import SOURCES, open_source


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("digist", "did you mean 'digits'"),
        ("two-moon", "did you mean 'two-moons'"),
        ("qqqq", "known: .*digits"),
        ("no/such/folder", "no file or folder no/such/folder"),
        ("missing.npz", r"no file or folder missing\.npz"),
    ],
)
def test_what_is_not_there(name, reason):
    with pytest.raises(DanluError, match=reason) as caught:
        open_source(name)
    assert "\n" not in str(caught.value)


def test_size_and_label_are_for_folders():
    with pytest.raises(DanluError, match="--size and --label are for folders"):
        open_source("digits", size=16)
    with pytest.raises(DanluError, match="--size and --label are for folders"):
        open_source("rings", label="folder")
    with pytest.raises(DanluError, match="did you mean 'folder'"):
        open_source("digits", label="folders")


def test_a_single_file_of_another_kind(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(b"")
    with pytest.raises(DanluError, match="neither a folder nor"):
        open_source(str(path))


def test_a_name_wins_over_a_folder_but_not_over_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert len(open_source("digits").test) == 300
    with pytest.raises(DanluError, match="holds no usable images"):
        open_source("./digits")


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "mine.npz", x=np.random.default_rng(0).normal(size=(50, 2)))
    assert open_source("~/mine.npz").description.shape == (2,)


def test_the_table_names_every_source():
    assert list(SOURCES) == [
        "digits",
        "fashion-mnist",
        "eight-gaussians",
        "gaussian-grid",
        "two-moons",
        "checkerboard",
        "pinwheel",
        "rings",
    ]
