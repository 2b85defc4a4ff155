"""Learned variances, score models and EDM: options and costs, beside the laws."""

import pytest
import torch

from danlu.contracts import Bound, DanluError
from danlu.generative.diffusion import edm, score_sde
from danlu.generative.diffusion.improved_ddpm import ImprovedDDPMOptions, build
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.tiny import TINY_VECTOR

FEW = {"chain": 12, "terms": 12, "draws": 2, "evaluations": 6}


def perturbed(model):
    torch.manual_seed(1)
    model.double()
    torch.nn.init.normal_(model.network.body.leave.weight, std=0.05)
    return model


def counted(model):
    calls = []
    model.network.register_forward_hook(lambda *_: calls.append(1))
    return calls


@pytest.mark.parametrize("variance", ["small", "large", "learned"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_chain_costs_one_evaluation_a_step_whatever_its_variance(variance, guidance):
    model = perturbed(build())
    options = ImprovedDDPMOptions(variance=variance, guidance=guidance, **FEW)
    calls = counted(model)
    x = model.sample(2, condition=1, options=options)
    assert len(calls) == model.sampling_evaluations(options) == 6 * int(guidance)
    assert x.isfinite().all()
    calls.clear()
    found = model.log_prob(x, condition=1, options=options)
    assert found.bound is Bound.LOWER
    assert found.evaluations == len(calls)


def test_the_learned_variance_matters_and_is_this_familys_alone():
    model = perturbed(build(TINY_VECTOR))
    with torch.no_grad():
        model.network.body.leave.bias[2:] = 4.0
    found, small = (
        model.sample(64, options=ImprovedDDPMOptions(variance=variance, **FEW))
        for variance in ("learned", "small")
    )
    assert not torch.allclose(found, small)
    other = ImprovedDDPMOptions(solver="dpm-multistep", **FEW)
    assert model.sample(2, options=other).isfinite().all()
    with pytest.raises(DanluError, match="variance"):
        DiffusionOptions(variance="learned")
    with pytest.raises(DanluError, match="path with a table"):
        build(parts="path=linear,times=uniform")


def test_the_paths_of_score_models():
    for path in score_sde.PATHS:
        model = perturbed(score_sde.build(path=path))
        assert model.Options().solver == "predictor-corrector"
        options = score_sde.ScoreSDEOptions(evaluations=4)
        assert model.sample(2, condition=0, options=options).isfinite().all()
    with pytest.raises(DanluError, match="did you mean 'sub-vp'"):
        score_sde.build(path="subvp")


def test_the_sampler_of_edm():
    model = perturbed(edm.build())
    calls = counted(model)
    assert model.sampling_evaluations(edm.EDMOptions()) == 35
    x = model.sample(2, condition=0)
    assert len(calls) == 35
    assert x.isfinite().all()
    _, grid = model.plan(edm.EDMOptions())
    assert len(grid) == 19
    assert grid[0] == pytest.approx(80.0)
    assert grid[-1] == 0.0
