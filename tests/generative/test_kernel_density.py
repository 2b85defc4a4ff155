from dataclasses import replace

import pytest
import torch

from danlu.contracts import Bound, Classes, Condition, DanluError, DataDescription, Measure, Vector
from danlu.data import Examples
from danlu.data.digits import digits
from danlu.generative.kernel_density import KernelDensity

PLANE = DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0, condition=Classes(2))


@pytest.fixture(scope="module")
def source():
    return digits()


@pytest.fixture(scope="module")
def model(source):
    return KernelDensity.fit(source.training, source.description)


def test_a_class_makes_its_digits_likelier(source, model):
    x, ids = source.validation.x()[:50], source.validation.ids[:50]
    own = model.log_prob(x, condition=ids)
    other = model.log_prob(x, condition=(ids + 1) % 10)
    assert (own.value > other.value).float().mean() > 0.95
    assert own.bits_per_dim().mean() < model.log_prob(x).bits_per_dim().mean()


def test_levels_give_a_bound_and_vectors_a_density(source, model):
    found = model.log_prob(source.validation.x()[:4])
    assert (found.bound, found.measure) == (Bound.LOWER, Measure.COUNTING)
    plane = KernelDensity.fit(Examples(torch.randn(9, 2), torch.arange(9) % 2, PLANE), PLANE)
    found = plane.log_prob(torch.zeros(3, 2), condition=1)
    assert (found.bound, found.measure) == (Bound.EXACT, Measure.LEBESGUE)


def test_samples_are_examples_of_their_class_under_noise(source, model):
    ids = torch.arange(20) % 10
    samples = model.sample(20, condition=ids)
    nearest = torch.cdist(samples.flatten(1), source.training.x().flatten(1)).argmin(1)
    assert torch.equal(source.training.ids[nearest], ids)


def test_validation_examples_can_choose(source, model):
    other = KernelDensity.fit(source.training, source.description, validation=source.validation)
    ratio = (other.kernels.log_bandwidth - model.kernels.log_bandwidth).exp()
    assert not torch.equal(ratio, torch.ones(11))
    assert (ratio.log().abs() < 0.2).all()


def test_a_class_of_one_example_takes_the_bandwidth_of_all():
    ids = torch.tensor([0] * 8 + [1])
    rows = KernelDensity.fit(Examples(torch.randn(9, 2), ids, PLANE), PLANE).kernels.log_bandwidth
    assert rows[1] == rows[2]
    assert rows[0] != rows[2]


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(DanluError, match="one of each class"):
        KernelDensity.fit(Examples(torch.randn(4, 2), torch.zeros(4).long(), PLANE), PLANE)
    with pytest.raises(DanluError, match="class of each example"):
        KernelDensity.fit(Examples(torch.randn(4, 2), None, PLANE), PLANE)


def test_it_is_told_classes_alone():
    told = replace(PLANE, condition=Vector(2))
    examples = Examples(torch.randn(6, 2), Condition(torch.randn(6, 2)), told)
    with pytest.raises(DanluError, match="cannot be told vector, only class"):
        KernelDensity.fit(examples, told)
