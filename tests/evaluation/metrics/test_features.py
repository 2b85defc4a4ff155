import dataclasses

import pytest
import torch

from danlu.contracts import DanluError
from danlu.data import Examples, Source, open_source
from danlu.evaluation.features import accuracy_of, cache, feature_spaces, from_file
from danlu.evaluation.features.classifier import Recipe, classifier_space, seconds_needed
from danlu.evaluation.features.network import FeatureNetwork
from danlu.evaluation.features.untrained import random_space
from danlu.measuring.held_out import words_for_spaces
from danlu.reading.kept import cache_folder

QUICK = Recipe(most_examples=128 * 12)


@pytest.fixture(scope="module")
def digits():
    return open_source("digits")


@pytest.fixture(autouse=True)
def _private_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DANLU_CACHE", str(tmp_path / "cache"))


def test_the_classifier_is_trained_once_and_then_recalled(digits, tmp_path):
    before = torch.get_rng_state()
    assert seconds_needed(digits, QUICK) > 0
    trained = classifier_space(digits, QUICK)
    assert torch.equal(torch.get_rng_state(), before)
    assert trained.seconds > 0
    recalled = classifier_space(digits, QUICK)
    assert recalled.seconds == 0
    assert (recalled.hash, recalled.accuracy) == (trained.hash, trained.accuracy)
    x = digits.test.x()
    assert torch.equal(trained.features(x), recalled.features(x))
    assert seconds_needed(digits, QUICK) == 0
    files = list((tmp_path / "cache").iterdir())
    assert [file.suffix for file in files] == [".safetensors"]

    files[0].write_bytes(files[0].read_bytes()[:1000])
    again = classifier_space(digits, QUICK)
    assert again.seconds > 0
    assert again.hash == trained.hash


def test_other_data_makes_another_space(digits):
    values = digits.training.values.clone()
    values[0, 0, 0, 0] += 1
    other = dataclasses.replace(
        digits, training=Examples(values, digits.training.condition, digits.description)
    )
    assert classifier_space(other, QUICK).hash != classifier_space(digits, QUICK).hash
    assert len(list(cache_folder().iterdir())) == 2


def test_features_are_penultimate_and_of_mean_square_one(digits):
    space = classifier_space(digits, QUICK)
    features = space.features(digits.training.x())
    assert features.shape == (1197, 128)
    assert features.min() >= 0
    assert features.square().mean().item() == pytest.approx(1, abs=0.1)
    assert space.logits(features[:3]).shape == (3, 10)


@pytest.mark.long
def test_the_recipe_knows_the_digits(digits):
    space = classifier_space(digits)
    assert space.accuracy > 0.97
    assert accuracy_of(space, digits.test) > 0.97


def test_a_cache_that_cannot_be_written_is_told_and_done_without(tmp_path, monkeypatch, digits):
    file = tmp_path / "file"
    file.write_text("in the way")
    monkeypatch.setenv("DANLU_CACHE", str(file / "cache"))
    space = classifier_space(digits, Recipe(least_examples=0, most_examples=64))
    (told,) = words_for_spaces({"classifier": space}).splitlines()
    assert f"not kept for the next time, since {file / 'cache'} cannot be written (Not a" in told
    assert "DANLU_CACHE names another folder" in told


def test_the_weight_hash_sees_names_and_values():
    a, b = torch.arange(4.0), torch.arange(4.0).view(2, 2)
    hashes = {cache.weight_hash(t) for t in ({"a": a}, {"b": a}, {"a": b}, {"a": a + 1})}
    assert len(hashes) == 4
    assert cache.weight_hash({"a": a, "b": b}) == cache.weight_hash({"b": b, "a": a.clone()})


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 5, 7), (1, 28, 28), (3, 64, 64), (3, 100, 33)])
def test_the_network_takes_images_of_any_size(size):
    network = FeatureNetwork(size, 4).eval()
    assert network(torch.zeros(2, *size)).shape == (2, 4)


def test_data_decides_which_spaces_there_are(digits, monkeypatch):
    monkeypatch.setattr("danlu.evaluation.features.classifier_space", random_space)
    assert list(feature_spaces(open_source("rings"))) == ["pixels"]
    values, description = (
        digits.training.values,
        dataclasses.replace(digits.description, condition=None),
    )
    part = Examples(values, None, description)
    plain = Source(name="plain", description=description, training=part, validation=part, test=part)
    spaces = feature_spaces(plain)
    assert list(spaces) == ["random", "pixels"]
    assert spaces["random"].facts()["hash"] == random_space(plain).hash
    assert spaces["random"].logits(spaces["random"].features(part.x())) is None
    with pytest.raises(DanluError, match="plain has no classes"):
        classifier_space(plain)


def test_a_file_of_torch_export_is_not_opened(digits, tmp_path):
    path = tmp_path / "net.pt2"
    with pytest.raises(DanluError, match="There is no feature network"):
        from_file(path, digits.description)
    path.write_bytes(b"anything")
    with pytest.raises(DanluError, match="without running what it holds; write the network with"):
        from_file(path, digits.description)
