import math

import pytest
import torch
from torch.distributions import Normal

from danlu.contracts import DanluError, DataDescription, Measure
from danlu.contracts.noise import ItemNoise
from danlu.generative.tiny import TINY, TINY_VECTOR
from danlu.losses import LIKELIHOODS
from danlu.losses.likelihoods import DiscretisedLogistic, Gaussian, round_to_levels


@pytest.mark.usefixtures("float64")
def test_gaussian_is_torchs_normal():
    likelihood = Gaussian(TINY_VECTOR)
    x, mean = torch.randn(7, 2), torch.randn(7, 2)
    expected = Normal(mean, likelihood.log_scale.exp()).log_prob(x).sum(1)
    assert torch.allclose(likelihood.log_prob(x, mean), expected)


def test_draws_of_the_discretised_logistic_lie_on_the_levels_and_its_means_do_not():
    likelihood = DiscretisedLogistic(TINY)
    output = torch.randn(50, 2, 4, 4)
    x = likelihood.draw(output, ItemNoise(0, range(50)))
    assert torch.equal(x, round_to_levels(x, TINY))
    assert not torch.equal(likelihood.mean(output), round_to_levels(likelihood.mean(output), TINY))


def test_gradients_are_finite_far_from_the_data():
    likelihood = DiscretisedLogistic(TINY)
    for location, raw in ((1e4, -1e4), (-1e4, 0.0), (0.0, 1e2)):
        one = torch.tensor([location, raw]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
        output = one.clone().requires_grad_()
        likelihood.log_prob(torch.full((1, 1, 4, 4), -1.0), output).sum().backward()
        assert output.grad.isfinite().all()


def test_low_precision_outputs_are_scored_in_float32():
    likelihood = DiscretisedLogistic(TINY)
    output = torch.randn(3, 2, 4, 4, dtype=torch.bfloat16)
    x = torch.full((3, 1, 4, 4), -1.0)
    assert likelihood.log_prob(x, output).dtype == torch.float32
    assert torch.equal(likelihood.log_prob(x, output), likelihood.log_prob(x, output.float()))


def test_the_discretised_logistic_needs_levels():
    with pytest.raises(DanluError, match="gaussian"):
        DiscretisedLogistic(TINY_VECTOR)


def test_measures_are_declared():
    measures = {name: row.target.measure for name, row in LIKELIHOODS.items()}
    assert measures == {
        "discretised-logistic": Measure.COUNTING,
        "gaussian": Measure.LEBESGUE,
    }


def test_a_certain_decoder_codes_for_free():
    description = DataDescription(shape=(1,), levels=256, low=-1.0, high=1.0)
    likelihood = DiscretisedLogistic(description)
    level = torch.tensor([[-1 + 100 * description.spacing]])
    output = torch.cat([level, torch.full_like(level, -50.0)], dim=1)
    assert likelihood.log_prob(level, output).item() == pytest.approx(0.0, abs=1e-6)
    spread = torch.tensor([[0.0, 50.0]])  # nearly all mass in the two open end bins
    found = likelihood.log_prob(torch.ones(1, 1), spread).item()
    assert found == pytest.approx(-math.log(2), abs=0.01)
