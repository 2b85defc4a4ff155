"""MeanFlow and consistency models: costs, options, schedules and refusals, beside the laws."""

import pytest
import torch

from danlu.contracts import Batch, CapabilityError, Condition, DanluError, Progress
from danlu.contracts.noise import BatchNoise
from danlu.generative.diffusion import JUMPS
from danlu.generative.diffusion.consistency import ConsistencyOptions, pseudo_huber
from danlu.generative.diffusion.consistency import build as build_consistency
from danlu.generative.diffusion.meanflow import MeanFlowOptions
from danlu.generative.diffusion.meanflow import build as build_meanflow
from danlu.generative.tiny import TINY, TINY_VECTOR


def perturbed(model):
    torch.manual_seed(1)
    torch.nn.init.normal_(model.network.body.leave.weight, std=0.2)
    return model


def counted(model):
    calls = []
    model.network.register_forward_hook(lambda *_: calls.append(1))
    return calls


@pytest.mark.parametrize("jumps", [*JUMPS, "none"])
@pytest.mark.parametrize("evaluations", [1, 2, 5])
def test_meanflow_spends_what_it_promises(jumps, evaluations):
    model = build_meanflow()
    options = MeanFlowOptions(jumps=jumps, evaluations=evaluations, solver="euler")
    calls = counted(model)
    x = model.sample(2, condition=1, options=options)
    assert len(calls) == model.sampling_evaluations(options) == evaluations
    assert torch.equal((x - TINY.low) / TINY.spacing, ((x - TINY.low) / TINY.spacing).round())


@pytest.mark.parametrize("evaluations", [1, 2, 5])
def test_consistency_spends_what_it_promises(evaluations):
    model = build_consistency()
    options, calls = ConsistencyOptions(evaluations=evaluations), counted(model)
    model.sample(2, condition=1, options=options)
    assert len(calls) == model.sampling_evaluations(options) == evaluations
    times = model.times(options)
    assert times[0] == 1.0
    assert times[-1] == 0.0
    assert times == sorted(times, reverse=True)


def test_spans_are_drawn_for_their_share_of_the_rows():
    model = build_meanflow()
    t, span = model.times_and_spans(BatchNoise(4000, dtype=torch.float64))
    assert (span == 0).sum() == 3000
    assert (span >= 0).all()
    assert (span < t).all()
    # Where both times are one, t is the later of two draws all the same: its law has no seam.
    assert abs(t[span == 0].mean() - t[span > 0].mean()) < 0.02


def test_the_learned_guidance_is_that_of_the_velocity():
    model = perturbed(build_meanflow(guidance=2.0)).double()
    z, t = torch.randn(3, 1, 4, 4, dtype=torch.float64), torch.tensor([0.2, 0.5, 0.9]).double()
    velocity = torch.randn_like(z)
    ids = Condition(torch.tensor([0, 1, 2]), given=torch.tensor([True, False, True]))
    found = model.guided_velocity(z, t, velocity, ids)
    base = model.value(z, t, None)
    assert torch.allclose(found[[0, 2]], (2 * velocity - base)[[0, 2]])
    assert torch.equal(found[1], velocity[1])
    with pytest.raises(DanluError, match="needs classes"):
        build_meanflow(TINY_VECTOR, guidance=2.0)


def test_jumps_have_no_other_guidance():
    with pytest.raises(DanluError, match=r"model\.guidance"):
        MeanFlowOptions(guidance=2.0)
    assert build_meanflow().sample(
        2, condition=0, options=MeanFlowOptions(jumps="none", guidance=2.0)
    ).shape == (2, 1, 4, 4)
    with pytest.raises(DanluError, match="did you mean 'straight'"):
        MeanFlowOptions(jumps="strait")


def test_the_velocity_of_meanflow_trains_in_low_precision():
    model = perturbed(build_meanflow())
    batch = Batch(torch.rand(6, 1, 4, 4), Condition(torch.arange(6) % 3), torch.arange(6))
    losses = []
    for enabled in (False, True):
        torch.manual_seed(5)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            losses.append(model.loss(batch, "model", Progress(0, 0.0, 0)).total)
    assert losses[1].dtype is torch.float32
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=0.02)


def test_levels_double_at_even_shares():
    model = build_consistency(fine=80)
    steps = [model.steps(fraction) for fraction in (0.0, 0.24, 0.26, 0.49, 0.51, 0.76, 1.0)]
    assert steps == [10, 10, 20, 20, 40, 80, 80]
    assert len(model.levels(1.0)) == 81
    assert model.levels(0.0)[[0, -1]].tolist() == pytest.approx([0.002, 80.0])
    with pytest.raises(DanluError, match="Steps between levels"):
        build_consistency(fine=5)


def test_pseudo_huber_is_quadratic_then_linear():
    zero = torch.zeros(2, 4, dtype=torch.float64)
    shift = 0.00054 * 2
    near, far = pseudo_huber(zero + 1e-6, zero), pseudo_huber(zero + 1e3, zero)
    assert near[0].item() == pytest.approx((2e-6) ** 2 / (2 * shift), rel=1e-5)
    assert far[0].item() == pytest.approx(2e3 - shift, rel=1e-6)


def test_a_consistency_model_knows_the_way_to_the_data_alone():
    model = build_consistency()
    with pytest.raises(DanluError, match=r"not to time 0\.5"):
        model.flow_map(None)(torch.zeros(1, 1, 4, 4), 1.0, 0.5)
    with pytest.raises(CapabilityError, match="meanflow"):
        model.log_prob(torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize("build", [build_meanflow, build_consistency])
def test_the_exported_map_is_the_models(build):
    model = perturbed(build()).eval()
    options = model.Options(evaluations=1)
    (export,) = model.exports(options).values()
    x, t, s, ids = export.example(4)
    known = torch.stack(
        [
            model.flow_map(None if i == TINY.classes else Condition(ids[i : i + 1]))(
                x[i : i + 1], t[i].item(), s[i].item()
            )[0]
            for i in range(4)
        ]
    )
    assert torch.allclose(export.module(x, t, s, ids), known, atol=1e-5)
    assert export.facts["times"] == [1.0, 0.0]
