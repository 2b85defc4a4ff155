import torch
from sklearn.datasets import load_digits

from danlu.data import open_source

# Sums of the validation and test levels and the first test classes, recorded when the splits
# were fixed.
SUMS = [94061, 93720]
FIRST_CLASSES = [0, 4, 5, 6, 7, 5, 0, 9, 5, 0, 8, 4]


def test_digits_have_three_fixed_stratified_splits():
    source = open_source("digits")
    parts = (source.training, source.validation, source.test)
    assert [len(part) for part in parts] == [1197, 300, 300]
    for part in parts[1:]:
        counts = torch.bincount(part.ids, minlength=10)
        assert (counts - 30).abs().max() <= 1
    assert source.description.shape == (1, 8, 8)
    assert source.description.levels == 17
    assert source.description.classes == 10
    assert source.class_names == tuple("0123456789")
    assert any("300 held-out" in line for line in source.notices)


def test_digits_are_scikit_learns_each_once():
    source = open_source("digits")
    pixels, labels = load_digits(return_X_y=True)
    rows = []
    for part in (source.training, source.validation, source.test):
        levels = ((part.x() + 1) * 8).round().flatten(1)
        assert torch.allclose(levels / 8 - 1, part.x().flatten(1), atol=1e-6)
        rows += [(*row, c) for row, c in zip(levels.tolist(), part.ids.tolist(), strict=True)]
    expected = [(*row, c) for row, c in zip(pixels.tolist(), labels.tolist(), strict=True)]
    assert sorted(rows) == sorted(expected)


def test_the_splits_never_change():
    source = open_source("digits")
    sums = [int(part.values.long().sum()) for part in (source.validation, source.test)]
    assert sums == SUMS
    assert source.test.ids[:12].tolist() == FIRST_CLASSES
