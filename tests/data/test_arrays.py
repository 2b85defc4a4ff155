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
        for value, label in zip(part.values[:, 0], part.condition, strict=True):
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
    assert source.test.condition.tolist() == (np.arange(15) % 4).tolist()


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
