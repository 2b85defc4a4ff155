import numpy as np
import pytest
import torch
from PIL import Image

from danlu.contracts import DanluError
from danlu.data import open_source
from danlu.data.decoding import decode, reduced
from danlu.data.splits import split

RNG = np.random.default_rng(0)
SAVED = {
    "RGB": "jpg",
    "L": "png",
    "RGBA": "png",
    "CMYK": "jpg",
    "I;16": "png",
    "P": "gif",
    "LA": "png",
    "1": "bmp",
}


def picture(mode, width, height):
    """A smooth random picture of any mode."""
    small = Image.fromarray(RNG.integers(256, size=(4, 4, 3), dtype=np.uint8))
    image = small.resize((width, height), Image.Resampling.BICUBIC)
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    return image.convert(mode)


@pytest.fixture
def mixed(tmp_path):
    """200 files of mixed sizes and modes in nested folders, three of them no images."""
    modes = list(SAVED)
    for i in range(197):
        mode = modes[i % len(modes)]
        folder = tmp_path / f"group{i % 3}" / f"part{i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        size = (20 + 7 * (i % 11), 25 + 5 * (i % 13))
        picture(mode, *size).save(folder / f"{i:03d}.{SAVED[mode]}")
    good = (tmp_path / "group0" / "part0" / "000.jpg").read_bytes()
    (tmp_path / "group0" / "corrupt.jpg").write_bytes(good[: len(good) // 3])
    (tmp_path / "group1" / "empty.png").write_bytes(b"")
    (tmp_path / "readme.txt").write_text("not a picture")
    return tmp_path


def test_a_mixed_folder_of_200_files(mixed):
    source = open_source(str(mixed), size=24)
    assert source.description.shape == (3, 24, 24)
    assert source.description.levels == 256
    assert source.description.classes == 0
    assert [len(p) for p in (source.training, source.validation, source.test)] == [159, 19, 19]
    reasons = dict(line.split(": ", 1) for line in source.skipped)
    assert set(reasons) == {"group0/corrupt.jpg", "group1/empty.png", "readme.txt"}
    assert reasons["group0/corrupt.jpg"].startswith("damaged image")
    assert reasons["group1/empty.png"] == "empty file"
    assert reasons["readme.txt"] == "not an image"
    text = "\n".join(source.notices)
    assert "Skipped 3 of 200 files:" in text
    assert all(line in text for line in source.skipped)
    assert "--label folder makes them classes" in text
    assert "Only 159 training examples" in text
    assert "Only 19 held-out examples" in text


def test_subfolders_as_classes(mixed):
    source = open_source(str(mixed), size=16, label="folder")
    assert source.class_names == ("group0", "group1", "group2")
    assert source.description.classes == 3
    for part in (source.training, source.validation, source.test):
        counts = torch.bincount(part.ids, minlength=3)
        assert counts.max() - counts.min() <= 2
    assert "readme.txt: not an image" in source.skipped
    assert source.notices[0] == "3 classes: group0 66, group1 66, group2 65."


def test_images_outside_any_subfolder_have_no_class(mixed):
    picture("RGB", 30, 30).save(mixed / "loose.png")
    source = open_source(str(mixed), size=16, label="folder")
    assert "loose.png: in no subfolder, hence without a class" in source.skipped


def test_the_split_is_the_same_every_time_and_for_every_file(mixed):
    a, b = (open_source(str(mixed), size=16) for _ in range(2))
    assert torch.equal(a.test.values, b.test.values)


def test_the_default_size_is_said(mixed):
    source = open_source(str(mixed))
    assert source.description.shape == (3, 32, 32)
    assert any("32 x 32" in line for line in source.notices)
    assert any("enlarged" in line for line in source.notices)


def test_large_images_promise_nothing_on_a_cpu(mixed, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert any("128 pixels" in line for line in open_source(str(mixed), size=128).notices)


def test_grey_pictures_have_one_channel_however_they_are_stored(tmp_path):
    for i in range(12):
        grey = picture("L", 40, 40)
        grey.convert("RGB" if i % 2 else "L").save(tmp_path / f"{i}.{'jpg' if i % 3 else 'png'}")
    assert open_source(str(tmp_path), size=16).description.shape == (1, 16, 16)
    picture("RGB", 40, 40).save(tmp_path / "colour.png")
    assert open_source(str(tmp_path), size=16).description.shape == (3, 16, 16)


def test_sixteen_bits_keep_their_range(tmp_path):
    ramp = np.tile(np.arange(256, dtype=np.uint16) * 257, (256, 1))
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    Image.fromarray(ramp).save(tmp_path / "ramp.tiff")
    for name in ("ramp.png", "ramp.tiff"):
        pixels, *_ = decode(tmp_path / name, 256)
        np.testing.assert_array_equal(pixels, np.tile(np.arange(256), (256, 1)))
    every = np.arange(65_536, dtype=np.uint16)
    np.testing.assert_array_equal(reduced(every), np.rint(every / 257).astype(np.uint8))


def test_float_pictures_need_a_known_scale(tmp_path):
    ramp = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (32, 1))
    Image.fromarray(ramp).save(tmp_path / "unit.tiff")
    Image.fromarray(ramp * 7).save(tmp_path / "seven.tiff")
    pixels, *_ = decode(tmp_path / "unit.tiff", 32)
    np.testing.assert_array_equal(pixels[0], np.rint(np.linspace(0, 1, 32) * 255))
    assert "no known scale" in decode(tmp_path / "seven.tiff", 32)


def test_transparency_is_white(tmp_path):
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[:, :10] = (255, 0, 0, 255)
    pixels[:, 10:] = (0, 0, 0, 128)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found, *_ = decode(tmp_path / "a.png", 20)
    assert found[5, 2].tolist() == [255, 0, 0]
    assert found[5, 15].tolist() == [127, 127, 127]
    palette = Image.new("P", (20, 20), 0)
    palette.putpalette([0, 0, 255])
    palette.save(tmp_path / "p.gif", transparency=0)
    found, *_ = decode(tmp_path / "p.gif", 20)
    assert (found == 255).all()


def test_cmyk_is_what_it_looks_like(tmp_path):
    Image.new("CMYK", (32, 32), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=95)
    found, *_ = decode(tmp_path / "red.jpg", 32)
    assert np.abs(found.astype(int) - [255, 0, 0]).max() <= 6


def test_the_centre_is_cropped_and_exif_turns(tmp_path):
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, :10], pixels[:, 10:20], pixels[:, 20:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    pixels[:5, 10:20] = 255
    image = Image.fromarray(pixels)
    image.save(tmp_path / "wide.png")
    found, enlarged, _ = decode(tmp_path / "wide.png", 10)
    np.testing.assert_array_equal(found, pixels[:, 10:20])
    assert not enlarged
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn a quarter clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    found, *_ = decode(tmp_path / "turned.png", 10)
    np.testing.assert_array_equal(found, np.rot90(pixels, -1)[10:20])


def test_a_large_jpeg_is_reduced_while_it_is_decoded(tmp_path):
    image = picture("RGB", 640, 480)
    image.save(tmp_path / "photo.jpg", quality=95)
    found, *_ = decode(tmp_path / "photo.jpg", 32)
    box = (80, 0, 560, 480)
    expected = np.asarray(image.resize((32, 32), Image.Resampling.LANCZOS, box=box))
    assert np.abs(found.astype(int) - expected).mean() < 3


def test_folders_that_cannot_be_used(tmp_path, monkeypatch):
    with pytest.raises(DanluError, match="no usable images"):
        open_source(str(tmp_path))
    (tmp_path / "note.txt").write_text("text")
    with pytest.raises(DanluError, match=r"no usable images.*Skipped: note.txt: not an image"):
        open_source(str(tmp_path))
    for i in range(12):
        picture("L", 9, 9).save(tmp_path / f"{i}.png")
    with pytest.raises(DanluError, match="--size goes from 8 to 1024, got 4"):
        open_source(str(tmp_path), size=4)
    with pytest.raises(DanluError, match="no usable images"):
        open_source(str(tmp_path), label="folder")
    (tmp_path / "only").mkdir()
    for i in range(12):
        (tmp_path / f"{i}.png").rename(tmp_path / "only" / f"{i}.png")
    with pytest.raises(DanluError, match="at least two subfolders"):
        open_source(str(tmp_path), label="folder")
    monkeypatch.setattr("danlu.reading.room.available_memory", lambda: 10_000)
    with pytest.raises(DanluError, match="give fewer files at once"):
        open_source(str(tmp_path), size=64)


def test_links_are_followed_once(tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(10):
        picture("RGB", 20, 20).save(tmp_path / "images" / f"{i}.png")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "images")
    (tmp_path / "images" / "loop").symlink_to(tmp_path / "data")
    source = open_source(str(tmp_path / "data"), size=16)
    assert len(source.training) + len(source.validation) + len(source.test) == 10


def test_splits_are_disjoint_complete_and_stratified():
    labels = np.array([0] * 70 + [1] * 20 + [2] * 10)
    training, validation, test = split(range(100), labels, validation=10, test=20)
    assert sorted([*training, *validation, *test]) == list(range(100))
    assert np.bincount(labels[test]).tolist() == [14, 4, 2]
    assert np.bincount(labels[validation]).tolist() == [7, 2, 1]
