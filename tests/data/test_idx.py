import gzip
import struct

import numpy as np
import pytest
import torch

from danlu.contracts import DanluError
from danlu.data import open_source
from danlu.data.fingerprints import fingerprint
from danlu.data.idx import DEBIAN, FASHION_CLASSES, find_parts, read_idx

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    code = CODES[array.dtype.str[1:]]
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_set(folder, *, packed, train=60, test=20, size=5):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    arrays = {
        "train-images-idx3-ubyte": rng.integers(256, size=(train, size, size), dtype=np.uint8),
        "train-labels-idx1-ubyte": (np.arange(train) % 5).astype(np.uint8),
        "t10k-images-idx3-ubyte": rng.integers(256, size=(test, size, size), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": (np.arange(test) % 5).astype(np.uint8),
    }
    for name, array in arrays.items():
        content = idx_bytes(array)
        path = folder / (name + ".gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)
    return arrays


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("shape", [(3,), (2, 4), (2, 3, 4)])
def test_round_trip(tmp_path, kind, shape):
    array = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    path = tmp_path / "file"
    path.write_bytes(idx_bytes(array))
    np.testing.assert_array_equal(read_idx(path), array)
    path.write_bytes(gzip.compress(idx_bytes(array)))
    np.testing.assert_array_equal(read_idx(path), array)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a readable IDX file"),
        (b"\x00\x00\x07\x01\x00\x00\x00\x01a", "not a readable IDX file"),
        (b"hello, this is text", "two zero bytes"),
        (b"\x1f\x8b broken", "cut short or damaged"),
        (idx_bytes(np.zeros((4, 4), np.uint8))[:-3], "13 bytes of numbers instead of 16"),
        (gzip.compress(idx_bytes(np.zeros((9, 9), np.uint8)))[:-12], "cut short or damaged"),
    ],
    ids=["empty", "type", "text", "gzip", "short", "short-gzip"],  # gzip writes the time
)
def test_damaged_files_are_named(tmp_path, content, reason):
    path = tmp_path / "damaged"
    path.write_bytes(content)
    with pytest.raises(DanluError, match=reason) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("packed", [True, False])
def test_a_folder_of_four_files(tmp_path, packed):
    arrays = write_set(tmp_path / "mine", packed=packed)
    source = open_source(str(tmp_path / "mine"))
    assert source.name == "mine"
    assert source.description.shape == (1, 5, 5)
    assert source.description.classes == 5
    parts = (source.training, source.validation, source.test)
    assert [len(part) for part in parts] == [50, 10, 20]
    train = torch.from_numpy(arrays["train-images-idx3-ubyte"])
    assert torch.equal(source.training.values[:, 0], train[:50])
    assert torch.equal(source.validation.values[:, 0], train[50:])
    assert torch.bincount(source.validation.ids).tolist() == [2] * 5
    x = source.test.x()
    assert torch.equal(((x + 1) * 127.5).round().byte(), source.test.values)


def test_files_that_do_not_fit_are_refused(tmp_path):
    write_set(tmp_path / "mine", packed=False)
    (tmp_path / "mine" / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(7, np.uint8)))
    with pytest.raises(DanluError, match="train files of mine do not fit"):
        open_source(str(tmp_path / "mine"))


def test_fashion_mnist_is_searched_in_the_users_folder_first(tmp_path, monkeypatch):
    write_set(tmp_path / "fashion-mnist", packed=True)
    monkeypatch.setenv("DANLU_DATA", str(tmp_path))
    source = open_source("fashion-mnist")
    assert len(source.test) == 20
    assert source.class_names == FASHION_CLASSES


def test_absent_fashion_mnist_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("DANLU_DATA", str(tmp_path))
    monkeypatch.setattr("danlu.data.idx.DEBIAN", tmp_path / "nowhere")
    with pytest.raises(DanluError, match="apt-get install dataset-fashion-mnist") as caught:
        open_source("fashion-mnist")
    assert "\n" not in str(caught.value)


def test_fashion_mnist_of_the_package(monkeypatch):
    monkeypatch.delenv("DANLU_DATA", raising=False)
    if find_parts(DEBIAN) is None:
        with pytest.raises(DanluError, match="apt-get install dataset-fashion-mnist"):
            open_source("fashion-mnist")
        return
    source = open_source("fashion-mnist")
    counts = [
        torch.bincount(part.ids).tolist()
        for part in (source.training, source.validation, source.test)
    ]
    assert counts == [[5_000] * 10, [1_000] * 10, [1_000] * 10]
    pixels = torch.cat((source.training.values, source.validation.values)).double() / 255
    # The published constants of the 60,000 training images.
    assert pixels.mean().item() == pytest.approx(0.2860, abs=1e-4)
    assert pixels.std().item() == pytest.approx(0.3530, abs=1e-4)
    assert source.description.levels == 256
    assert source.notices == ()


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("t10k-images-idx3-ubyte", np.zeros((0, 5, 5), "u1"), "do not fit"),
        ("train-labels-idx1-ubyte", np.full(60, -1, "i1"), "go from -1 to -1"),
        ("train-labels-idx1-ubyte", np.full(60, 2**30, "i4"), "from 0 to 999"),
        ("train-labels-idx1-ubyte", np.full(60, 0.5, "f4"), "whole numbers"),
    ],
    ids=["no-images", "negative", "huge", "fraction"],
)
def test_sets_that_make_no_sense_are_one_line(name, array, reason, tmp_path):
    write_set(tmp_path / "mine", packed=False)
    (tmp_path / "mine" / name).write_bytes(idx_bytes(array))
    with pytest.raises(DanluError, match=reason) as caught:
        open_source(str(tmp_path / "mine"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("train", "test"), [(0, 20), (60, 0), (5, 20)])
def test_sets_without_images_are_refused(train, test, tmp_path):
    write_set(tmp_path / "mine", packed=False, train=train, test=test)
    with pytest.raises(DanluError, match=r"hold \d images of 5 x 5 pixels; at least"):
        open_source(str(tmp_path / "mine"))


def test_a_packed_set_that_fills_the_memory(tmp_path, monkeypatch):
    write_set(tmp_path / "mine", packed=True, size=99)
    monkeypatch.setattr("danlu.reading.paths.available_memory", lambda: 100_000)
    path = tmp_path / "mine" / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(bytes(1_000_000)))
    with pytest.raises(DanluError, match="unpacks to more than"):
        open_source(str(tmp_path / "mine"))


def test_few_examples_of_every_class_still_have_a_validation_split(tmp_path):
    write_set(tmp_path / "mine", packed=False, train=12, test=4)
    source = open_source(str(tmp_path / "mine"))
    assert [len(part) for part in (source.training, source.validation, source.test)] == [11, 1, 4]


@pytest.mark.parametrize("packed", [False, True])
def test_mapped_sets_are_those_in_memory_and_splits_share_them(tmp_path, packed, monkeypatch):
    folder = tmp_path / "shapes"
    write_set(folder, packed=packed)
    before = open_source(str(folder))
    monkeypatch.setattr("danlu.data.idx.MAPPED_FROM", 1)
    after = open_source(str(folder))
    assert fingerprint(after) == fingerprint(before)
    assert after.training.stored.data_ptr() == after.validation.stored.data_ptr()
    damaged = folder / "train-images-idx3-ubyte"
    if not packed:
        damaged.write_bytes(damaged.read_bytes()[:-3])
        with pytest.raises(DanluError, match="bytes of numbers instead of"):
            open_source(str(folder))
