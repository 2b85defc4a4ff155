import gc
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from danlu.contracts import DanluError
from danlu.data import open_source

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(256, size=(40, 6, 5), dtype=np.uint8)


def save(tmp_path, **arrays):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return str(path)


def everything(source):
    parts = (source.training, source.validation, source.test)
    return torch.cat([part.x() for part in parts])


@pytest.mark.parametrize("key", ["x", "images", "train", "x_train", "data"])
def test_grey_images_under_any_of_the_keys(tmp_path, key):
    source = open_source(save(tmp_path, **{key: PIXELS}))
    assert source.name == "data"
    assert source.description.shape == (1, 6, 5)
    assert source.description.levels == 256
    assert [len(p) for p in (source.training, source.validation, source.test)] == [32, 4, 4]
    levels = ((everything(source) + 1) * 127.5).round().byte().flatten(1)
    assert sorted(levels.tolist()) == sorted(PIXELS.reshape(40, -1).tolist())


@pytest.mark.parametrize("axis", [1, 3])
def test_colour_images_with_channels_first_or_last(tmp_path, axis):
    x = RNG.integers(256, size=(20, 6, 5, 3), dtype=np.uint8)
    source = open_source(save(tmp_path, x=np.moveaxis(x, 3, axis)))
    assert source.description.shape == (3, 6, 5)
    found = sorted(((everything(source) + 1) * 127.5).round().byte().flatten(1).tolist())
    assert found == sorted(np.moveaxis(x, 3, 1).reshape(20, -1).tolist())


def test_labels_become_ids_in_their_order(tmp_path):
    labels = np.array([30, 10, 20, 10] * 10)
    source = open_source(save(tmp_path, x=PIXELS, labels=labels))
    assert source.class_names == ("10", "20", "30")
    assert source.description.classes == 3
    by_pixels = {PIXELS[i].tobytes(): int(label) for i, label in enumerate(labels)}
    for part in (source.training, source.validation, source.test):
        for value, label in zip(part.values[:, 0], part.ids, strict=True):
            assert by_pixels[value.numpy().tobytes()] == int(source.class_names[label])


def test_a_test_split_of_its_own_is_kept(tmp_path):
    test = PIXELS[::-1][:15]
    path = save(
        tmp_path,
        x_train=PIXELS,
        y_train=np.arange(40) % 4,
        x_test=test,
        y_test=np.arange(15) % 4,
    )
    source = open_source(path)
    assert [len(p) for p in (source.training, source.validation, source.test)] == [36, 4, 15]
    np.testing.assert_array_equal(source.test.values[:, 0].numpy(), test)
    assert source.test.ids.tolist() == (np.arange(15) % 4).tolist()


@pytest.mark.parametrize(
    ("x", "levels"),
    [
        (PIXELS % 17, 17),
        (PIXELS > 100, 2),
        (PIXELS.astype(np.float64), 256),
        ((PIXELS / 255).astype(np.float32), 256),
        (PIXELS.astype(np.uint16) * 257, 256),
        (PIXELS.astype(np.int64), 256),
    ],
    ids=["digits", "binary", "float-255", "float-1", "16-bit", "int64"],
)
def test_levels_are_recognised(tmp_path, x, levels):
    source = open_source(save(tmp_path, x=x))
    assert source.description.levels == levels
    assert (source.description.low, source.description.high) == (-1.0, 1.0)
    expected = x.astype(np.float64) / x.max() * (levels - 1)
    found = ((everything(source).double() + 1) * (levels - 1) / 2).round().flatten(1)
    assert sorted(found.tolist()) == sorted(np.rint(expected).reshape(40, -1).tolist())


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (-3.0, 5.0)])
def test_continuous_images_are_stretched_from_their_range(tmp_path, low, high):
    unit = RNG.random((40, 6, 5))
    unit[0, 0, :2] = 0, 1
    source = open_source(save(tmp_path, x=low + (high - low) * unit))
    assert source.description.levels is None
    assert (source.description.low, source.description.high) == (-1.0, 1.0)
    expected = torch.from_numpy(2 * unit - 1).flatten(1)
    found = everything(source).double().flatten(1)
    assert torch.cdist(found, expected).min(1).values.max() < 1e-5
    assert any("stretched" in line for line in source.notices) == (low == -3.0)


def test_vectors_keep_their_coordinates(tmp_path):
    x = RNG.normal(size=(2_000, 3))
    source = open_source(save(tmp_path, x=x))
    assert source.description.shape == (3,)
    assert source.description.levels is None
    assert source.description.low == pytest.approx(x.min())
    assert torch.allclose(everything(source).double().sum(0), torch.from_numpy(x).sum(0), atol=1e-3)
    far = open_source(save(tmp_path, x=100 * x))
    assert any("standardise" in line for line in far.notices)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"pictures": PIXELS}, "holds pictures; name the examples `x`"),
        ({}, "holds nothing"),
        ({"x": PIXELS[:5]}, "5 examples; at least 10"),
        ({"x": PIXELS, "labels": np.arange(7)}, "one class id for each of the 40"),
        ({"x": PIXELS, "labels": np.eye(40)}, "one class id for each of the 40"),
        ({"x": PIXELS, "labels": np.arange(40)}, "too many to be classes"),
        ({"x": PIXELS, "labels": np.full(40, 0.5)}, "not fractions"),
        ({"x": PIXELS.astype(object)}, "plain, undamaged arrays"),
        ({"x": np.full((40, 6, 5), np.nan)}, "infinite or missing"),
        ({"x": PIXELS.astype(str)}, "must be numbers"),
        ({"x": np.zeros((40, 6, 5), np.uint8)}, "nothing to learn"),
        ({"x": np.zeros((40, 4))}, "nothing to learn"),
        ({"x": PIXELS.astype(np.int32) - 300}, r"0\.\.65535"),
        ({"x": np.zeros((40, 6, 5, 4), np.uint8)}, "1 or 3 channels"),
        ({"x": np.zeros(40)}, "neither vectors"),
        ({"x": PIXELS, "x_test": PIXELS[:, :3]}, "do not fit"),
        ({"x": PIXELS, "labels": np.arange(40) % 2, "x_test": PIXELS}, "do not fit"),
    ],
)
def test_errors_are_one_line(tmp_path, arrays, reason):
    with pytest.raises(DanluError, match=reason) as caught:
        open_source(save(tmp_path, **arrays))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_archive(tmp_path):
    path = tmp_path / "fake.npz"
    np.save(tmp_path / "array.npy", PIXELS)
    for content in (b"", b"text", (tmp_path / "array.npy").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(DanluError, match=r"no \.npz archive"):
            open_source(str(path))


def test_a_damaged_archive(tmp_path):
    path = tmp_path / "damaged.npz"
    np.savez_compressed(path, x=PIXELS)
    content = bytearray(path.read_bytes())
    content[400:420] = bytes(20)
    path.write_bytes(bytes(content))
    with pytest.raises(DanluError, match="undamaged"):
        open_source(str(path))


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.full(40, np.inf), "infinite or missing"),
        (np.r_[np.nan, np.zeros(39)], "infinite or missing"),
        (np.arange(40) % 2 + 0j, "whole numbers or words, got complex128"),
        (np.arange(40).astype("M8[s]"), "whole numbers or words, got datetime64"),
        (np.r_[1e300, np.zeros(39)], "huge numbers"),
    ],
    ids=["inf", "nan", "complex", "time", "huge"],
)
def test_labels_are_whole_numbers_or_words(tmp_path, labels, reason):
    with pytest.raises(DanluError, match=reason):
        open_source(save(tmp_path, x=PIXELS, labels=labels))


def test_classes_are_counted_at_the_start(tmp_path):
    words = np.array(["cat", "dog", "cat", "owl"] * 10)
    assert open_source(save(tmp_path, x=PIXELS, y=words)).notices[0] == (
        "3 classes: cat 20, dog 10, owl 10."
    )
    assert open_source(save(tmp_path, x=PIXELS, y=1.0 * (words == "cat"))).class_names == ("0", "1")


def stored_in_parts(monkeypatch):
    """Small arrays are mapped, and looked at a few rows at a time."""
    monkeypatch.setattr("danlu.data.stored.MAPPED_FROM", 1)
    monkeypatch.setattr("danlu.data.scales.BLOCK", 100)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float64, np.float32, ">f4", bool])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save_as", [np.savez, np.savez_compressed, np.save])
def test_mapped_arrays_are_those_in_memory(kind, order, save_as, tmp_path, monkeypatch):
    x = RNG.integers(4_000, size=(40, 6, 5)) / 7
    x = np.asarray(x > 300 if kind is bool else x.clip(max=255 if kind is np.uint8 else None))
    x = np.asarray(x, dtype=kind, order=order)
    path = tmp_path / ("x.npy" if save_as is np.save else "x.npz")
    save_as(path, x) if save_as is np.save else save_as(path, y=np.arange(40) % 2, x=x)
    loaded = everything(open_source(str(path)))
    stored_in_parts(monkeypatch)
    source = open_source(str(path))
    assert torch.equal(everything(source), loaded)
    if kind == np.uint8 and save_as is not np.savez_compressed:
        assert source.training.stored.data_ptr() == source.test.stored.data_ptr()


def anonymous_memory():
    """Bytes of this process that no file stands behind."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_large_bytes_are_not_copied(suffix, tmp_path):
    """64 MB of pixels take none of their own: all splits are rows of the mapped file."""
    x = np.zeros((16_384, 64, 64), np.uint8)
    x[:, 0, :8] = RNG.integers(256, size=(len(x), 8), dtype=np.uint8)
    path = tmp_path / f"x.{suffix}"
    np.save(path, x) if suffix == "npy" else np.savez(path, x=x)
    del x
    open_source(str(path))  # what is imported and set up at first is not the array's
    gc.collect()
    before = anonymous_memory()
    source = open_source(str(path))
    assert source.training.x(torch.arange(4)).shape == (4, 1, 64, 64)
    assert anonymous_memory() - before < 3.2e7


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize("shape", [(16_384, 512), (8_192, 32, 32)])
def test_large_arrays_are_converted_where_they_are_read(suffix, shape, tmp_path, monkeypatch):
    """67 MB of float64 become float32 a batch at a time."""
    monkeypatch.setattr("danlu.data.scales.BLOCK", 1 << 17)
    path = tmp_path / f"x.{suffix}"
    x = 3 * RNG.standard_normal(shape)
    np.save(path, x) if suffix == "npy" else np.savez(path, x=x)
    open_source(str(path))
    del x
    gc.collect()
    before = anonymous_memory()
    source = open_source(str(path))
    rows = source.training.rows[:4]
    gc.collect()
    assert anonymous_memory() - before < 1.2e7
    assert source.training.x(torch.arange(4)).dtype == torch.float32
    assert len(rows) == 4


PEAK = """
import sys, threading, time
from pathlib import Path
from danlu.data import ExampleStream, open_source
from danlu.data.fingerprints import fingerprint

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024

open_source("two-moons")
before, peak = anonymous(), 0

def watch():
    global peak
    while True:
        peak = max(peak, anonymous())
        time.sleep(0.002)

threading.Thread(target=watch, daemon=True).start()
source = open_source(sys.argv[1])
fingerprint(source)
stream = ExampleStream(source.training, source.description, batch=64, seed=0)
for _ in range(40):
    next(stream)
print(peak - before)
"""


@pytest.mark.long
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_the_peak_of_memory_is_far_below_the_array(suffix, tmp_path):
    """536 MB of float64 take at most 160: pages of the file are not the process's own."""
    path = tmp_path / f"x.{suffix}"
    x = RNG.standard_normal((16_384, 4_096))
    np.save(path, x) if suffix == "npy" else np.savez(path, x=x)
    del x
    done = subprocess.run(
        [sys.executable, "-c", PEAK, path], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 1.6e8


@pytest.mark.parametrize("header", ["{'descr': '|u1', 'shape': (", "{'descr': ", "{", "[[", "1 2"])
def test_headers_that_cannot_be_read(header, tmp_path):
    text = header.encode().ljust(117) + b"\n"
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\x00" + bytes([len(text), 0]) + text)
    with pytest.raises(DanluError, match="undamaged") as caught:
        open_source(str(tmp_path / "x.npy"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_headers_that_promise_more_than_there_is(suffix, tmp_path):
    header = np.lib.format.header_data_from_array_1_0(PIXELS)
    header["shape"] = (5_800_000, 1_000, 1_000)
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(PIXELS.tobytes())
    if suffix == "npz":
        with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(tmp_path / "x.npy", "x.npy")
    with pytest.raises(DanluError, match=r"promises 5,800,000,000,000 bytes.*there are 1,200"):
        open_source(str(tmp_path / f"x.{suffix}"))


def test_archives_that_unpack_to_more_than_the_memory(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros((40, 500, 500), np.uint8))
    assert path.stat().st_size < 20_000
    monkeypatch.setattr("danlu.reading.room.available_memory", lambda: 5_000_000)
    with pytest.raises(DanluError, match=r"an array of shape \(40, 500, 500\) may take 0.0 GB"):
        open_source(str(path))


def test_a_mapped_array_is_compared_with_its_checksum(tmp_path, monkeypatch):
    stored_in_parts(monkeypatch)
    path = tmp_path / "x.npz"
    np.savez(path, x=PIXELS)
    content = bytearray(path.read_bytes())
    content[800] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DanluError, match="undamaged"):
        open_source(str(path))


@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_what_is_no_file_is_not_opened(suffix, tmp_path):
    path = tmp_path / f"x.{suffix}"
    os.mkfifo(path)
    with pytest.raises(DanluError, match="is a pipe, not a file"):
        open_source(str(path))


@pytest.mark.parametrize("factor", [1e-6, 1e3])
def test_scales_far_from_unit_are_said(factor, tmp_path):
    x = factor * RNG.normal(size=(500, 3))
    (line,) = [line for line in open_source(save(tmp_path, x=x)).notices if "standardise" in line]
    assert line.startswith("Values go from ")
    plain = open_source(save(tmp_path, x=x / factor)).notices
    assert not any("standardise" in line for line in plain)
    images = factor * RNG.random((500, 6, 5))
    source = open_source(save(tmp_path, x=images))
    assert any("stretched" in line for line in source.notices)
    assert everything(source).std() > 0.5


def test_values_beyond_float32_are_refused(tmp_path):
    with pytest.raises(DanluError, match="beyond float32"):
        open_source(save(tmp_path, x=1e300 * RNG.normal(size=(40, 3))))
    with pytest.raises(DanluError, match="nothing to learn"):
        open_source(save(tmp_path, x=1e-60 * RNG.normal(size=(40, 3))))


@pytest.mark.parametrize("largest", [1023, 4095, 16383, 65535])
def test_arrays_of_16_bits_are_scaled_by_their_depth(largest, tmp_path):
    x = RNG.integers(largest + 1, size=(40, 6, 5), dtype=np.uint16)
    x[0, 0, 0] = largest
    found = ((everything(open_source(save(tmp_path, x=x))) + 1) * 127.5).round().flatten(1)
    expected = np.rint(x * 255.0 / largest).reshape(40, -1)
    assert sorted(found.tolist()) == sorted(expected.tolist())


def test_copies_stay_on_one_side(tmp_path):
    x = RNG.integers(256, size=(100, 6, 5), dtype=np.uint8)
    source = open_source(save(tmp_path, x=np.concatenate((x, x[:40]))))
    parts = (source.training, source.validation, source.test)
    learned, chosen, held = ({row.tobytes() for row in part.values.numpy()} for part in parts)
    assert not learned & chosen
    assert not learned & held
    assert not chosen & held
    assert len(source.test) == 14
    (line,) = [line for line in source.notices if "held out" in line and "copying" in line]
    assert line.split()[0] == str(112 - len(source.training))
    # In discrete tables repetition is what the data is like: nothing is taken away.
    table = RNG.integers(2, size=(200, 3)) + 0.0
    source = open_source(save(tmp_path, x=table))
    assert len(source.training) == 160
    assert any("this data repeats itself" in line for line in source.notices)
