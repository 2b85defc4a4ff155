"""What a folder means: classes, splits, links, hidden files, copies; and what is decoded once."""

import os
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from danlu.contracts import DanluError
from danlu.data import ExampleStream, open_source
from danlu.data.fingerprints import fingerprint
from danlu.data.pictures import FACTS, Undecoded, pictures_of
from danlu.reading import found_below
from danlu.reading.kept import cache_folder

RNG = np.random.default_rng(0)


def fill(folder, n, *, suffix="png"):
    """Images that differ from all others."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        pixels = RNG.integers(256, size=(8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03d}.{suffix}")
    return folder


def sizes(source):
    return [len(part) for part in (source.training, source.validation, source.test)]


def rows(part):
    return {row.tobytes() for row in part.values.numpy()}


@pytest.mark.parametrize("name", [".git", ".ipynb_checkpoints", "__MACOSX", "@eaDir", "lost+found"])
def test_hidden_and_system_folders_are_no_classes(name, tmp_path):
    fill(tmp_path / "cat", 12)
    fill(tmp_path / "dog", 20)
    fill(tmp_path / name, 9)
    fill(tmp_path / "cat" / name, 3)
    (tmp_path / "empty").mkdir()
    source = open_source(str(tmp_path), size=8, label="folder")
    assert source.class_names == ("cat", "dog")
    assert source.notices[0] == "2 classes: cat 12, dog 20."
    assert "2 hidden or system files and folders are left out." in source.notices
    assert "Folders without a usable image are no classes: empty." in source.notices


@pytest.mark.parametrize(
    ("train", "val", "test"), [("train", "val", "test"), ("Training", "validation", "Testing")]
)
def test_split_folders_are_splits_and_no_classes(train, val, test, tmp_path):
    counts = {train: (30, 20), val: (3, 2), test: (7, 5)}
    for side, (cats, dogs) in counts.items():
        fill(tmp_path / side / "cat", cats)
        fill(tmp_path / side / "dog", dogs)
    Image.new("L", (8, 8)).save(tmp_path / "logo.png")
    source = open_source(str(tmp_path), size=8, label="folder")
    assert source.class_names == ("cat", "dog")
    assert sizes(source) == [50, 5, 12]
    assert torch.bincount(source.test.ids).tolist() == [7, 5]
    assert any("is the test split" in line for line in source.notices)
    assert any(line.startswith("logo.png: beside the split folders") for line in source.skipped)
    assert sizes(open_source(str(tmp_path), size=8)) == [50, 5, 12]


def test_a_split_that_is_missing_is_taken_from_training(tmp_path):
    fill(tmp_path / "train" / "cat", 30)
    fill(tmp_path / "train" / "dog", 30)
    fill(tmp_path / "test" / "cat", 8)
    fill(tmp_path / "test" / "owl", 1)
    source = open_source(str(tmp_path), size=8, label="folder")
    assert sizes(source) == [54, 6, 9]
    assert "Classes without training images: owl." in source.notices
    assert source.notices[1] == (
        "Split folders: test is the test split, train is the training split; validation is taken "
        "from training."
    )


def test_a_class_may_be_called_train(tmp_path):
    fill(tmp_path / "train", 12)
    fill(tmp_path / "plane", 12)
    source = open_source(str(tmp_path), size=8, label="folder")
    assert source.class_names == ("plane", "train")


def test_linked_files_and_folders_count_once_under_their_own_name(tmp_path):
    fill(tmp_path / "cat", 12)
    fill(tmp_path / "dog", 12)
    (tmp_path / "all").symlink_to(tmp_path / "cat")
    for i in range(6):
        (tmp_path / "dog" / f"aa{i}.png").symlink_to(tmp_path / "dog" / f"{i:03d}.png")
    os.link(tmp_path / "cat" / "000.png", tmp_path / "cat" / "hard.png")
    (tmp_path / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "dog" / "up").symlink_to(tmp_path)
    source = open_source(str(tmp_path), size=8, label="folder")
    assert source.class_names == ("cat", "dog")
    assert sum(sizes(source)) == 24
    reasons = dict(line.split(": ", 1) for line in source.skipped)
    assert reasons["all"] == "the same folder as cat"
    assert reasons["dog/aa3.png"] == "the same file as dog/003.png"
    assert reasons["cat/hard.png"] == "the same file as cat/000.png"
    assert reasons["dog/up"] == "the same folder as ."
    assert "No such file" in reasons["cat/gone.png"]


def test_test_images_are_not_also_trained_on(tmp_path):
    """A folder whose training split is linked into the test split, or copied there."""
    fill(tmp_path / "train", 40)
    (tmp_path / "test").mkdir()
    for i in range(12):
        source, target = tmp_path / "train" / f"{i:03d}.png", tmp_path / "test" / f"{i}.png"
        target.symlink_to(source) if i < 6 else target.write_bytes(source.read_bytes())
    found = open_source(str(tmp_path), size=8)
    learned, chosen, held = (rows(part) for part in (found.training, found.validation, found.test))
    assert not learned & held
    assert not chosen & held
    assert len(held) == 6
    assert any("are also held out; they are left out there" in line for line in found.notices)


def test_what_is_no_file_is_left_out(tmp_path):
    fill(tmp_path, 12)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    source = open_source(str(tmp_path), size=8)
    assert sum(sizes(source)) == 12
    assert source.skipped == (
        "pipe.png: a pipe, not a file",
        "zero.png: a device, not a file",
    )


def test_a_walk_ends_where_two_folders_lead_to_each_other(tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        (tmp_path / name / "other").symlink_to(tmp_path / other)
    assert found_below(tmp_path).files == ("a/file", "b/file")


@pytest.mark.parametrize("suffix", ["gif", "tiff", "webp"])
def test_further_pictures_of_a_file_are_said(suffix, tmp_path):
    fill(tmp_path, 12)
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / f"film.{suffix}", save_all=True, append_images=frames[1:])
    lines = open_source(str(tmp_path), size=8).notices
    assert "1 files hold several pictures; the first of each is used." in lines


@pytest.mark.parametrize(("bits", "white"), [(10, 1023), (12, 4095), (14, 16383), (16, 65535)])
@pytest.mark.parametrize("suffix", ["tiff", "png"])
def test_the_depth_of_files_of_16_bits_is_seen(bits, white, suffix, tmp_path):
    ramp = np.linspace(0, white, 64).round().astype(np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / f"bright.{suffix}")
    Image.fromarray(ramp // 64).save(tmp_path / f"dark.{suffix}")  # one scale for all files
    fill(tmp_path / "eight", 10)
    found = pictures_of(tmp_path, 8)
    pixels = dict(zip(found.facts.names, found.pixels[:, 0].numpy(), strict=True))
    expected = np.rint(ramp * 255.0 / white)
    assert np.abs(pixels[f"bright.{suffix}"] - expected).max() <= 1
    assert pixels[f"dark.{suffix}"].max() <= 4
    lines = open_source(str(tmp_path), size=8).notices
    told = f"No 16-bit file exceeds {white:,}: read as {bits} bits."
    assert (told in lines) == (bits < 16)


def test_a_folder_is_decoded_once_and_then_mapped(tmp_path, monkeypatch):
    fill(tmp_path / "data", 20)
    first = pictures_of(tmp_path / "data", 8)
    monkeypatch.setattr("danlu.data.pictures.decode", None)
    again = pictures_of(tmp_path / "data", 8)
    assert again.facts == first.facts
    assert torch.equal(again.pixels, first.pixels)
    monkeypatch.undo()
    fill(tmp_path / "data", 1, suffix="bmp")
    assert len(pictures_of(tmp_path / "data", 8).pixels) == 21


def test_kept_pictures_that_were_damaged_are_made_anew(tmp_path):
    fill(tmp_path / "data", 12)
    first = pictures_of(tmp_path / "data", 8).pixels.clone()
    kept = max(cache_folder().glob("pictures/*.raw"), key=lambda path: path.stat().st_mtime_ns)
    content = bytearray(kept.read_bytes())
    content[5] ^= 1
    kept.write_bytes(bytes(content))
    assert torch.equal(pictures_of(tmp_path / "data", 8).pixels, first)
    kept.with_suffix(FACTS).write_text('{"names": 3}')
    assert torch.equal(pictures_of(tmp_path / "data", 8).pixels, first)


def no_folder(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DANLU_CACHE", str(tmp_path / "file" / "cache"))


def no_space(monkeypatch, tmp_path):
    monkeypatch.setenv("DANLU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("danlu.data.pictures.ROOM", 0.0)


@pytest.mark.parametrize("remembered", [0, 5 * 192, 1 << 28])
@pytest.mark.parametrize("without", [no_folder, no_space])
def test_without_a_place_to_keep_them_pictures_are_decoded_on_demand(
    tmp_path, monkeypatch, without, remembered
):
    fill(tmp_path / "data", 30)
    (tmp_path / "data" / "a.txt").write_text("no picture")
    Image.new("L", (9, 9), 40).save(tmp_path / "data" / "grey.png")
    kept = open_source(str(tmp_path / "data"), size=8)
    without(monkeypatch, tmp_path)
    monkeypatch.setattr("danlu.data.pictures.REMEMBERED", remembered)
    found = open_source(str(tmp_path / "data"), size=8)
    assert isinstance(found.training.stored, Undecoded)
    assert fingerprint(found) == fingerprint(kept)
    assert found.skipped == kept.skipped
    streams = [
        ExampleStream(source.training, source.description, batch=7, seed=3)
        for source in (kept, found)
    ]
    for _ in range(8):
        here, there = map(next, streams)
        assert torch.equal(here.x, there.x)
        assert torch.equal(here.index, there.index)
    assert len(found.training.stored._known) <= max(1, remembered // 192)
    assert any("decoded whenever" in line for line in found.notices)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    next((tmp_path / "data").glob("*.png")).unlink()
    if not remembered:
        with pytest.raises(DanluError, match="was an image when this began"):
            [split.values for split in (found.training, found.validation, found.test)]


def test_mapped_pictures_take_no_memory_of_their_own(tmp_path):
    fill(tmp_path / "data", 12)
    pictures_of(tmp_path / "data", 1024)
    pixels = pictures_of(tmp_path / "data", 1024).pixels
    first = pixels[0, 0, 0, 0].item()
    pixels[0, 0, 0, 0] = 255 - first  # in this process alone
    assert pictures_of(tmp_path / "data", 1024).pixels[0, 0, 0, 0].item() == first


def test_sources_say_when_the_memory_will_not_do(tmp_path, monkeypatch):
    fill(tmp_path / "data", 12)
    np.savez(tmp_path / "x.npz", x=RNG.random((40, 6, 5)))
    np.save(tmp_path / "x.npy", RNG.random((40, 6, 5)))
    monkeypatch.setattr("danlu.reading.room.available_memory", lambda: 100)
    for name in ("data", "x.npz", "x.npy"):
        with pytest.raises(DanluError, match=r"GB of memory, .* are free"):
            open_source(str(tmp_path / name))


@pytest.mark.parametrize(
    ("side", "reason"), [(9_500, "too large: 9,500 x 9,500 pixels"), (20_000, "damaged image: ")]
)
def test_pictures_that_unpack_to_gigabytes_are_left_out(side, reason, tmp_path):
    fill(tmp_path, 12)
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks:
        checksum = zlib.crc32(name + data)
        content += struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)
    (tmp_path / "bomb.png").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # as at the command line
        (line,) = open_source(str(tmp_path), size=8).skipped
    assert line.startswith(f"bomb.png: {reason}")
