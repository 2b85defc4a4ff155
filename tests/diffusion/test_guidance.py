"""Guidance by options, its costs, and the errors of bad combinations, beside the laws."""

import pytest
import torch

from danlu.contracts import Condition, DanluError
from danlu.generative.diffusion import GUIDANCES
from danlu.generative.diffusion.analytic import two_dimensional
from danlu.generative.diffusion.guidance.classifier import Classifier
from danlu.generative.diffusion.guidance.classifier_free import ClassifierFree
from danlu.generative.diffusion.guidance.guidance import Guidance
from danlu.generative.diffusion.guidance.interval import Interval
from danlu.generative.diffusion.guidance.projected import Projected, split
from danlu.generative.diffusion.guidance.rescaled import Rescaled
from danlu.generative.diffusion.options import GUIDED_BY, DiffusionOptions
from danlu.generative.diffusion.rectified_flow import RectifiedFlow, build
from danlu.generative.tiny import TINY, TINY_VECTOR
from danlu.runs.recipes import recipe_for


def perturbed() -> RectifiedFlow:
    """A model that knows its classes apart."""
    torch.manual_seed(1)
    model = build().double()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return model


@pytest.mark.parametrize("name", GUIDANCES)
def test_every_guidance_gives_a_denoiser(name):
    guidance = GUIDANCES[name].build()
    assert isinstance(guidance, Guidance)
    y = torch.randn(6, 2, dtype=torch.float64)
    denoise = guidance(two_dimensional().only(1))
    assert torch.equal(denoise(y, 1.0), denoise(y, 1.0))
    # Row by row: batch mates do not matter.
    assert torch.allclose(denoise(y, 1.0)[2:4], denoise(y[2:4], 1.0), atol=1e-12)


@pytest.mark.parametrize("guided_by", GUIDED_BY)
@pytest.mark.parametrize("rescale", [0.0, 0.7])
def test_every_guidance_costs_two_evaluations(guided_by, rescale):
    model, calls = build(), []
    model.network.register_forward_hook(lambda *_: calls.append(1))
    options = DiffusionOptions(
        solver="euler", evaluations=4, guidance=3.0, guided_by=guided_by, rescale=rescale
    )
    model.sample(2, condition=1, options=options)
    assert len(calls) == 8 == model.sampling_evaluations(options)
    calls.clear()
    plain = DiffusionOptions(solver="euler", evaluations=4, guided_by=guided_by, rescale=rescale)
    model.sample(2, condition=1, options=plain)
    assert len(calls) == 4 == model.sampling_evaluations(plain)


def test_options_make_the_guidance():
    model, y = perturbed(), torch.randn(3, *TINY.shape, dtype=torch.float64)
    ids = Condition(torch.tensor([0, 1, 2]))
    own, base = model.denoiser(ids), model.denoiser(None)
    cases = {
        DiffusionOptions(guidance=3.0): ClassifierFree(base, 3.0),
        DiffusionOptions(guidance=3.0, rescale=0.5): Rescaled(ClassifierFree(base, 3.0), 0.5),
        DiffusionOptions(guidance=3.0, guided_by="projected"): Projected(base, 3.0),
        DiffusionOptions(guidance=3.0, guided_by="projected", parallel=0.3): Projected(
            base, 3.0, parallel=0.3
        ),
        DiffusionOptions(guidance=3.0, guided_until=0.5): Interval(
            ClassifierFree(base, 3.0), 0.0, 1.0
        ),
    }
    found = [model.guided(ids, options)(y, 2.0) for options in cases]
    for value, guidance in zip(found, cases.values(), strict=True):
        assert torch.allclose(value, guidance(own)(y, 2.0), atol=1e-12)
    assert len({round(value.sum().item(), 9) for value in found}) == len(cases)


def test_guidance_needs_a_conditional_model():
    model = build(TINY_VECTOR)
    with pytest.raises(DanluError, match="needs a conditional model"):
        model.sample(2, options=DiffusionOptions(guidance=3.0))
    assert model.sample(2, options=DiffusionOptions()).shape == (2, 2)


def test_recipes_guide_where_there_are_classes():
    assert recipe_for("ddpm", TINY).options["guidance"] > 1
    blind = recipe_for("ddpm", build(TINY_VECTOR).description)
    assert "guidance" not in blind.options
    assert blind.options["solver"] == "dpm-multistep"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DiffusionOptions(guided_by="project"), "did you mean 'projected'"),
        (lambda: DiffusionOptions(guided_by="classifier"), "did you mean 'classifier-free'"),
        (lambda: DiffusionOptions(rescale=1.5), "rescale is a share"),
        (lambda: Rescaled(Classifier(two_dimensional().log_density), -0.1), "share from 0 to 1"),
        (lambda: Projected(two_dimensional(), 2.0, longest=0.0), "above 0"),
        (lambda: Interval(Classifier(two_dimensional().log_density), 2.0, 1.0), "higher one"),
    ],
)
def test_bad_settings_are_one_line(make, message):
    with pytest.raises(DanluError, match=message):
        make()


def test_a_classifier_gives_a_number_for_each_example():
    mixture, y = two_dimensional(), torch.zeros(3, 2, dtype=torch.float64)
    for agreement in (lambda y, level: y, lambda y, level: y.detach().sum(1)):
        with pytest.raises(DanluError, match="one differentiable number for each example"):
            Classifier(agreement)(mixture)(y, 1.0)
    with torch.no_grad():  # as a sampler calls it
        assert not Classifier(mixture.log_density)(mixture)(y, 1.0).requires_grad


def test_examples_without_contrast_stay_as_they_are():
    y = torch.zeros(3, 2, dtype=torch.float64)
    flat = Rescaled(ClassifierFree(lambda y, level: 0 * y, 2.0), 1.0)(lambda y, level: y + 1)
    assert torch.equal(flat(y, 1.0), torch.full_like(y, 2.0))
    with pytest.raises(DanluError, match="at least two numbers"):
        flat(y[:, :1], 1.0)


def test_nothing_lies_along_an_example_of_zeros():
    x = torch.randn(4, 3, dtype=torch.float64)
    along, across = split(x, torch.zeros_like(x))
    assert torch.equal(across, x)
    assert (along == 0).all()
