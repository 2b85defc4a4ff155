"""DDPM's options, its bound as evidence, and its chain, beside the laws."""

import pytest
import torch

from danlu.contracts import Bound, DanluError, DataDescription, Measure
from danlu.generative.diffusion.ddpm import DDPM, DDPMOptions, build
from danlu.generative.tiny import TINY, TINY_VECTOR

FEW = DDPMOptions(chain=12, terms=12, draws=2)
BY_FLOW = DDPMOptions(likelihood="flow", likelihood_steps=2)


def perturbed(description: DataDescription = TINY) -> DDPM:
    torch.manual_seed(1)
    model = build(description).double()
    torch.nn.init.normal_(model.network.body.leave.weight, std=0.05)
    return model


def test_the_default_is_the_original_chain():
    model = build()
    assert model.path.steps == 1000
    assert model.sampling_evaluations(DDPMOptions()) == 1000
    assert DDPMOptions().solver == "ancestral"
    assert model.prior_mismatch(torch.zeros(1, 1, 4, 4)) is None


def test_the_bound_is_evidence_of_its_own_kind():
    model = perturbed()
    found = model.log_prob(model.sample(3, condition=1, options=FEW), condition=1, options=FEW)
    assert (found.bound, found.measure) == (Bound.LOWER, Measure.COUNTING)
    assert found.condition == "class"
    assert (found.stderr > 0).all()
    flow = model.log_prob(torch.zeros(2, 1, 4, 4), options=BY_FLOW)
    assert flow.bound is Bound.NONE
    vector = perturbed(TINY_VECTOR).log_prob(torch.zeros(2, 2), options=FEW)
    assert vector.measure is Measure.LEBESGUE


def test_evaluations_are_counted():
    model, calls = perturbed(), []
    model.network.register_forward_hook(lambda *_: calls.append(1))
    for options in (FEW, DDPMOptions(terms=3), DDPMOptions(terms=5, draws=4)):
        calls.clear()
        found = model.log_prob(torch.zeros(2, 1, 4, 4), options=options)
        assert len(calls) == found.evaluations


def test_some_terms_estimate_all_terms():
    model, x = perturbed(TINY_VECTOR), torch.tensor([[0.5, -1.0], [0.0, 2.0]]).double()
    every = model.log_prob(x, options=DDPMOptions(chain=10, terms=10, draws=60))
    some = model.log_prob(x, seed=1, options=DDPMOptions(chain=10, terms=3, draws=60))
    error = (every.stderr.square() + some.stderr.square()).sqrt()
    assert ((every.value - some.value).abs() <= 5 * error).all()


def test_guidance_doubles_the_evaluations():
    model, calls = build(), []
    model.network.register_forward_hook(lambda *_: calls.append(1))
    options = DDPMOptions(evaluations=6, guidance=2.0, variance="large")
    model.sample(2, condition=1, options=options)
    assert len(calls) == 12 == model.sampling_evaluations(options)


def test_decode_inverts_encode():
    model = perturbed(TINY_VECTOR)
    x = torch.randn(5, 2, dtype=torch.float64)
    # Sixteen steps of fourth order over four decades of noise.
    assert (model.reconstruct(x) - x).abs().max() < 1e-2


def test_samples_of_discrete_data_lie_on_its_levels():
    x = perturbed().sample(4, condition=2, options=DDPMOptions(evaluations=5))
    level = (x - TINY.low) / TINY.spacing
    assert torch.equal(level, level.round())


def test_a_chain_needs_steps():
    with pytest.raises(DanluError, match="chain at least 2"):
        DDPMOptions(chain=1)
