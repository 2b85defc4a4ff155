"""Continuous flows: evidence, the way back and bad settings, beside the laws."""

import pytest
import torch

from danlu.contracts import Bound, DanluError, Measure
from danlu.generative.chain_options import Estimator
from danlu.generative.flow.ffjord import FFJORD, build
from danlu.generative.parts.continuous import Continuous, EstimatedContinuous
from danlu.generative.tiny import TINY, TINY_VECTOR


def perturbed(description, **settings) -> FFJORD:
    torch.manual_seed(1)
    model = build(description, **settings).double()
    for parameter in model.layers.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model


def test_few_numbers_have_an_exact_divergence_and_no_bound():
    model = perturbed(TINY_VECTOR)
    assert isinstance(model.links[-1], Continuous)
    found = model.log_prob(torch.randn(4, 2).double())
    assert (found.stderr == 0).all()
    assert (found.bound, found.measure) == (Bound.NONE, Measure.LEBESGUE)


def test_many_numbers_have_an_estimate_with_its_error():
    model = perturbed(TINY, steps=2)
    assert isinstance(model.links[-1], EstimatedContinuous)
    x = model.sample(3, condition=1)
    options = model.Options(draws=12)
    found = model.log_prob(x, condition=1, options=options)
    other = model.log_prob(x, condition=1, seed=1, options=options)
    assert (found.stderr > 0).all()
    assert (found.bound, found.measure) == (Bound.NONE, Measure.COUNTING)
    error = (found.stderr.square() + other.stderr.square()).sqrt()
    assert ((found.value - other.value).abs() <= 6 * error).all()
    assert model.log_prob(x, options=model.Options(estimator=Estimator.IWAE)).bound is Bound.NONE


def test_decode_inverts_encode():
    model = perturbed(TINY_VECTOR, steps=16)
    x = torch.randn(5, 2, dtype=torch.float64)
    assert (model.reconstruct(x) - x).abs().max() < 1e-5


def test_a_flow_needs_steps():
    with pytest.raises(DanluError, match="at least one step"):
        build(steps=0)
    with pytest.raises(DanluError, match="network"):
        build(TINY_VECTOR, network="convolutional")
