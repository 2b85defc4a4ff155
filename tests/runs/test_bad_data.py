"""A folder of all that people have, and input that is no data at all."""

import numpy as np
import pytest
from PIL import Image

from danlu import load
from danlu.cli.main import main
from danlu.contracts import CapabilityError

SIDES = (20, 33, 47)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """200 files: several sizes and modes, and three that are no images."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for index in range(197):
        side, other = random.choice(SIDES, 2)
        pixels = random.integers(0, 256, (side, other, 4), dtype=np.uint8)
        mode = ("L", "RGB", "RGBA", "CMYK", "I;16")[index % 5]
        if mode == "I;16":
            image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 256)
        else:
            image = Image.fromarray(pixels[..., :3]).convert(mode)
        suffix = "jpg" if mode == "CMYK" else "png"
        image.save(folder / f"{index:03d}.{suffix}")
    (folder / "corrupt.png").write_bytes((folder / "001.png").read_bytes()[:60])
    (folder / "empty.png").touch()
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_a_mixed_folder_trains_and_lists_what_was_skipped(photos, tmp_path, capsys):
    out = tmp_path / "run"
    flags = ("--size", "16", "--steps", "2", "--set", "model.width=8", "--out", str(out))
    assert main(["train", "vae", str(photos), *flags]) == 0
    said = capsys.readouterr().out
    for name in ("corrupt.png", "empty.png", "notes.txt"):
        (line,) = [line for line in said.splitlines() if name in line]
        assert ": " in line.partition(name)[2], f"{line} gives no reason"
    assert load(out).sample(2).shape == (2, 3, 16, 16)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["train", "vae", "EMPTY"], "holds no usable images"),
        (["race", "EMPTY", "--minutes", "1"], "holds no usable images"),
        (["train", "vae", "missing/photos"], "There is no file or folder missing/photos"),
        (["race", "missing/photos"], "There is no file or folder missing/photos"),
        (["train", "difusion", "digits"], "Unknown family 'difusion'"),
        (["race", "digits", "--families", "vae,gam"], "did you mean 'gan'?"),
        (["race", "digits", "--families", "vae,vae"], "named twice"),
        (["race", "digits", "--minutes", "0.1"], "at least 20 seconds"),
        (["race", "digits", "--seeds", "0,0"], "named twice"),
        (["race", "digits", "--set", "gan.model.widht=3"], "did you mean 'width'?"),
        (["race", "digits", "--features", "missing.pt2"], "missing.pt2"),
        (["eval", "missing"], "missing is no run"),
    ],
)
def test_bad_input_is_one_line_and_2(arguments, hint, tmp_path, monkeypatch, capsys):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    code = main([word.replace("EMPTY", "photos") for word in arguments])
    (line,) = capsys.readouterr().err.splitlines()
    assert (code, line[:7]) == (2, "danlu: ")
    assert hint.lower() in line.lower()
    assert not (tmp_path / "runs").exists()


def test_log_prob_of_a_gan_says_what_to_use_instead(tmp_path):
    assert main(["train", "gan", "two-moons", "--steps", "1", "--out", str(tmp_path / "gan")]) == 0
    gan = load(tmp_path / "gan")
    with pytest.raises(
        CapabilityError, match=r"GAN has no log_prob: .*; use vae or rectified-flow"
    ):
        gan.log_prob(gan.sample(2))


def few(folder, n):
    """So many images of 8 by 8 pixels."""
    random = np.random.default_rng(n)
    folder.mkdir()
    for index in range(n):
        Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(
            folder / f"{index}.png"
        )
    return folder


@pytest.mark.parametrize("n", [1, 2, 5])
def test_too_few_images_are_refused_in_one_line(n, tmp_path, capsys):
    assert (
        main(["train", "vae", str(few(tmp_path / "few", n)), "--out", str(tmp_path / "run")]) == 2
    )
    (line,) = capsys.readouterr().err.splitlines()
    assert f"holds {n} usable images; at least 10 are needed" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("n", [10, pytest.param(59, marks=pytest.mark.long)])
def test_few_images_go_all_the_way(n, tmp_path, capsys):
    data, out = few(tmp_path / "few", n), tmp_path / "run"
    flags = ("--size", "8", "--steps", "1", "--set", "model.width=8", "--out", str(out))
    assert main(["train", "vae", str(data), *flags]) == 0
    assert f"{n // 10} held-out examples are too few to measure" in capsys.readouterr().out
    assert main(["eval", str(out), "--n", "5"]) == 0
    said = capsys.readouterr().out
    assert "needs 6 examples" in said
    assert "sliced-wasserstein@pixels" in said
    assert "needs 6 examples" in (out / "report.html").read_text()
    assert main(["sample", str(out), "--n", "2", "--out", str(tmp_path / "it.png")]) == 0
