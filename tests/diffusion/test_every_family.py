"""What every diffusion family keeps: samples of their own, and one clear line for bad input."""

import pytest
import torch

from danlu.contracts import Classes, DanluError, DataDescription, DataKind
from danlu.contracts.noise import ItemNoise
from danlu.generative import FAMILIES
from danlu.generative.diffusion import predictions
from danlu.generative.diffusion.ddpm import build
from danlu.generative.diffusion.editing import redraw
from danlu.generative.diffusion.grids import clipped
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.paths import Point
from danlu.generative.tiny import TINY_VECTOR
from danlu.laws.generative.subjects import cheap

HOME = "danlu.generative.diffusion"
ROOM = sorted(name for name, row in FAMILIES.items() if row.target.__module__.startswith(HOME))
DENOISERS = [
    name
    for name in ROOM
    if isinstance(model := FAMILIES[name].build(), DiffusionModel)
    and issubclass(model.Options, DiffusionOptions)
]
IMAGES = DataDescription(
    kind=DataKind.IMAGE, shape=(1, 8, 8), levels=None, low=-1.0, high=1.0, condition=Classes(3)
)
CLASSES = torch.tensor([0, 1, 2, 0, 1, 2, 0])


def perturbed(build):
    """A float32 model no layer of which is zero."""
    model = build(IMAGES)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model


def apart(model, options):
    """The largest difference of samples drawn together, in parts, and among other mates.

    In units of the largest pixel where it is above 1, as it is without training.
    """
    chosen = CLASSES if "condition" in model.can else None
    together = model.sample(7, condition=chosen, seed=5, options=options)
    assert together.dtype == torch.float32
    assert together.std() > 0.01
    largest = max(1.0, together.abs().max().item())
    parts = [
        model.sample(7, condition=chosen, seed=5, options=options, batch=batch) for batch in (3, 1)
    ]
    if chosen is None:
        return max((part - together).abs().max().item() for part in parts) / largest
    others = torch.where(torch.arange(7) == 4, CLASSES, (CLASSES + 1) % 3)
    among = model.sample(7, condition=others, seed=5, options=options)
    gaps = [*(part - together for part in parts), (among - together)[4:5]]
    return max(gap.abs().max().item() for gap in gaps) / largest


def test_the_room_is_seen_whole():
    assert {"ddpm", "rectified-flow"} <= set(DENOISERS)


@pytest.mark.parametrize("name", ROOM)
def test_samples_of_every_family_stand_alone(name):
    model = perturbed(FAMILIES[name].build)
    assert apart(model, cheap(model)) <= 1e-5


def test_noise_is_bit_equal_however_it_is_batched():
    whole, parts = ItemNoise(3, range(7)), [ItemNoise(3, range(2)), ItemNoise(3, range(2, 7))]
    for draw in (ItemNoise.normal, ItemNoise.uniform, ItemNoise.normal):
        assert torch.equal(draw(whole, 1, 8, 8), torch.cat([draw(part, 1, 8, 8) for part in parts]))


def line_of(attempt):
    with pytest.raises(DanluError) as caught:
        attempt()
    line = str(caught.value)
    assert line
    assert "\n" not in line
    return line


@pytest.mark.parametrize("name", DENOISERS)
def test_bad_input_of_every_family_is_one_line(name):
    model, x = FAMILIES[name].build(TINY_VECTOR), torch.zeros(2, 2)
    assert "did you mean 'heun'" in line_of(lambda: model.Options(solver="huen"))
    guided = line_of(lambda: model.sample(2, options=model.Options(guidance=2.0)))
    assert "needs a conditional model" in guided or "guidance of jumps is learned" in guided
    assert "starts between times" in line_of(lambda: redraw(model, x, 1.5))
    lowest, highest = model.path.levels()
    outside = [4 * highest, 2 * highest]
    assert "which the model was trained on" in line_of(lambda: clipped(outside, lowest, highest))


def test_what_has_no_score_and_what_cannot_be_converted_are_one_line():
    coupled = build(TINY_VECTOR, parts="coupling=optimal")
    fresh = coupled.Options(solver="ancestral", evaluations=3)
    assert "no score" in line_of(lambda: coupled.sample(2, options=fresh))
    clean, y = Point(1.0, 0.0, 0.0, 1.0), torch.ones(1)
    assert "singular" in line_of(lambda: predictions.solve(predictions.data, clean, y, y))
