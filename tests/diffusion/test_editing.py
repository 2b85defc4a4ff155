"""Editing, pointwise likelihoods and processes at their edges, beside the laws."""

import pytest
import torch

from danlu.contracts import Bound, CapabilityError, DanluError, Measure
from danlu.generative.diffusion.analytic import two_dimensional
from danlu.generative.diffusion.ddpm import DDPMOptions
from danlu.generative.diffusion.ddpm import build as build_ddpm
from danlu.generative.diffusion.editing import inpaint, interpolate, redraw
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.paths import Linear
from danlu.generative.diffusion.processes import backward, forward
from danlu.generative.diffusion.rectified_flow import RectifiedFlow, build
from danlu.generative.gan import gan
from danlu.generative.tiny import TINY, TINY_VECTOR
from danlu.generative.vae import vae

FEW = DiffusionOptions(evaluations=6)


def perturbed() -> RectifiedFlow:
    torch.manual_seed(1)
    model = build().double()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return model


def on_levels(x: torch.Tensor) -> bool:
    level = (x - TINY.low) / TINY.spacing
    return torch.equal(level, level.round())


def test_edited_images_lie_on_their_levels():
    model = perturbed()
    x = model.sample(3, condition=1, options=FEW)
    known = torch.zeros(TINY.shape, dtype=torch.bool)
    known[:, :2] = True
    between = interpolate(model, x, x.flip(0), (0.0, 0.5), condition=1)
    assert between.shape == (2, 3, *TINY.shape)
    made = inpaint(model, x, known, condition=1, options=FEW, repeats=2)
    new = redraw(model, x, 0.6, condition=2, options=FEW)
    assert all(on_levels(each) for each in (between, made, new))
    assert torch.equal(made[:, known], x[:, known])


def test_an_edit_depends_on_its_seed_and_not_on_batch_mates():
    model, x = perturbed(), torch.zeros(4, *TINY.shape, dtype=torch.float64)
    known = torch.zeros(TINY.shape, dtype=torch.bool)

    def edit(x: torch.Tensor, seed: int) -> list[torch.Tensor]:
        return [
            redraw(model, x, 0.5, seed=seed, options=FEW),
            inpaint(model, x, known, seed=seed, options=FEW),
        ]

    for whole, part, other in zip(edit(x, 0), edit(x[:2], 0), edit(x, 1), strict=True):
        assert torch.allclose(whole[:2], part, atol=1e-9)
        assert not torch.equal(whole, other)


def test_redrawing_little_changes_little():
    model = build(TINY_VECTOR).double()
    x = torch.randn(5, 2, dtype=torch.float64)
    assert (redraw(model, x, 0.02) - x).abs().max() < 0.2
    for time in (0.0, 0.0005, 0.9999):
        with pytest.raises(DanluError, match="Redrawing starts between"):
            redraw(model, x, time)


def test_interpolation_serves_every_model_with_codes():
    model = vae.build()
    x = torch.zeros(2, *TINY.shape)
    assert interpolate(model, x, x, [0.5], condition=1).shape == (1, 2, *TINY.shape)
    with pytest.raises(CapabilityError, match="no encode"):
        interpolate(gan.build(), x, x, [0.5])
    with pytest.raises(DanluError, match="at least one share"):
        interpolate(model, x, x, [], condition=1)


def test_bad_masks_and_repeats_are_one_line():
    model, x = build(TINY_VECTOR), torch.zeros(3, 2)
    with pytest.raises(DanluError, match="does not fit"):
        inpaint(model, x, torch.tensor([True, False, True]))
    with pytest.raises(DanluError, match="at least once"):
        inpaint(model, x, torch.tensor([True, False]), repeats=0)


def test_repeats_multiply_the_evaluations():
    model, calls = build(TINY_VECTOR), []
    model.network.register_forward_hook(lambda *_: calls.append(1))
    options = DiffusionOptions(solver="ancestral", evaluations=5)
    inpaint(model, torch.zeros(3, 2), torch.tensor([True, False]), options=options, repeats=3)
    assert len(calls) == 15


def test_pointwise_is_evidence_with_an_error():
    model, calls = perturbed(), []
    model.network.register_forward_hook(lambda *_: calls.append(1))
    options = DiffusionOptions(likelihood="pointwise", terms=5, draws=3)
    found = model.log_prob(torch.zeros(2, *TINY.shape), condition=1, options=options)
    assert (found.bound, found.measure) == (Bound.NONE, Measure.COUNTING)
    assert (found.stderr > 0).all()
    assert len(calls) == 15 == found.evaluations
    vector = build_ddpm(TINY_VECTOR).log_prob(
        torch.zeros(2, 2), options=DDPMOptions(likelihood="pointwise", draws=2)
    )
    assert vector.measure is Measure.LEBESGUE


def test_processes_take_a_share_of_the_noise():
    mixture = two_dimensional()
    assert forward(mixture, Linear(), 0.0).diffusion(0.5) == 0.0
    assert backward(mixture, Linear(), 4.0).diffusion(0.5) == pytest.approx(
        2 * forward(mixture, Linear()).diffusion(0.5)
    )
    for make, share in ((forward, 1.5), (forward, -0.1), (backward, -0.1)):
        with pytest.raises(DanluError, match="share of the noise"):
            make(mixture, Linear(), share)
