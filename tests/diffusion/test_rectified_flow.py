"""The rectified flow's options, costs, grids and stability, beside the laws."""

from itertools import pairwise

import pytest
import torch

from danlu.contracts import DanluError, DataDescription, DataKind
from danlu.contracts.noise import BatchNoise
from danlu.generative import FAMILIES
from danlu.generative.diffusion import GRIDS, SOLVERS
from danlu.generative.diffusion.grids import clipped
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.paths import Linear
from danlu.generative.diffusion.rectified_flow import RectifiedFlow, build
from danlu.generative.diffusion.time_samplers import logit_normal, stratified, uniform
from danlu.generative.tiny import TINY, TINY_VECTOR


def perturbed(model: RectifiedFlow) -> RectifiedFlow:
    """A model whose last layer is not zero any more."""
    torch.manual_seed(1)
    model.double()
    torch.nn.init.normal_(model.network.body.leave.weight, std=0.05)
    return model


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("evaluations", [1, 2, 5, 8])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_the_promised_evaluations_are_spent(solver, evaluations, guidance):
    model = build()
    options = DiffusionOptions(solver=solver, evaluations=evaluations, guidance=guidance)
    calls = []
    model.network.register_forward_hook(lambda *_: calls.append(1))
    model.sample(2, condition=1, options=options)
    assert len(calls) == model.sampling_evaluations(options)
    assert len(calls) <= evaluations * (1 if guidance == 1.0 else 2)


def test_guidance_in_an_interval_costs_only_there():
    model = build()
    options = DiffusionOptions(solver="euler", evaluations=10, guidance=2.0, guided_until=0.45)
    # Times 0.999, 0.899, ..., 0.0999: the last four are guided.
    assert model.sampling_evaluations(options) == 14
    with pytest.raises(DanluError, match="Guidance acts"):
        DiffusionOptions(guided_from=0.5, guided_until=0.2)


@pytest.mark.parametrize("steps", [10, 50, 3, 1000, 1])
def test_leading_steps_are_of_whole_levels(steps):
    """Of 1,000 levels 10 steps visit 901, 801, ..., 1 (arXiv:2305.08891 tab. 2)."""
    path = FAMILIES["ddpm"].build().path
    grid = GRIDS["leading"].target(path, steps, *path.levels())
    found = [1000 * path.time(level) for level in grid[:-1]]
    assert found == pytest.approx([1 + 1000 / steps * i for i in reversed(range(steps))])


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_grids_fall_from_the_highest_level_to_zero(name, steps):
    grid = GRIDS[name].target(Linear(), steps, 0.01, 50.0)
    assert len(grid) == steps + 1
    assert grid[0] <= 50.0 * (1 + 1e-9)
    assert grid[0] == pytest.approx(50.0) or name == "leading"
    assert grid[-2] >= 0.01 * (1 - 1e-9) or name == "quadratic"
    assert grid[-1] == 0.0
    assert all(a > b for a, b in pairwise(grid))


def test_a_grid_outside_the_training_range_is_clipped_with_a_notice():
    with pytest.warns(UserWarning, match="clipped"):
        assert clipped([80.0, 10.0, 1.0, 0.001, 0.0], 0.01, 50.0) == [50.0, 10.0, 1.0, 0.0]
    assert clipped([50.0, 1.0, 0.0], 0.01, 50.0) == [50.0, 1.0, 0.0]
    with pytest.raises(DanluError, match="fall strictly"):
        clipped([1.0, 2.0], 0.01, 50.0)
    with pytest.raises(DanluError, match=r"has no level between 0\.01 and 50"):
        clipped([100.0, 80.0], 0.01, 50.0)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("solver", "huen", "did you mean 'heun'"),
        ("grid", "karas", "did you mean 'karras'"),
        ("trace", "exakt", "did you mean 'exact'"),
        ("evaluations", 0, "at least 1"),
    ],
)
def test_bad_options_name_the_mend(field, value, message):
    with pytest.raises(DanluError, match=message):
        DiffusionOptions(**{field: value})


def test_bad_values_are_refused():
    with pytest.raises(DanluError, match="time sampler"):
        build(times="uniformly")
    with pytest.raises(DanluError, match="probes"):
        build().log_prob(torch.zeros(2, 1, 4, 4), options=DiffusionOptions(probes=1))


def test_decode_inverts_encode():
    description = DataDescription(shape=(3,), levels=None, low=-2.0, high=2.0)
    model = perturbed(build(description))
    x = torch.randn(5, 3, dtype=torch.float64)
    assert (model.reconstruct(x) - x).abs().max() < 1e-7


def test_encode_goes_where_the_prior_lives():
    """An untrained velocity of zero leaves the state; the last state has the prior's deviation."""
    model = build(TINY_VECTOR).double()
    x = torch.randn(4, 2, dtype=torch.float64)
    assert torch.equal(model.encode(x), x)
    assert 0 < model.path.earliest < model.path.latest < 1


def test_samples_of_discrete_data_lie_on_its_levels():
    x = perturbed(build()).sample(6, condition=2)
    level = (x - TINY.low) / TINY.spacing
    assert torch.equal(level, level.round())
    assert x.min() >= TINY.low
    assert x.max() <= TINY.high


@pytest.mark.long
def test_exact_and_estimated_traces_agree_within_the_error():
    description = DataDescription(
        kind=DataKind.IMAGE, shape=(1, 4, 4), levels=None, low=-1.0, high=1.0
    )
    model = perturbed(build(description))
    x = model.sample(4)
    exact = model.log_prob(x, options=DiffusionOptions(trace="exact"))
    guess = model.log_prob(x, options=DiffusionOptions(probes=64))
    assert (exact.stderr == 0).all()
    assert ((guess.value - exact.value).abs() <= 5 * guess.stderr).all()


@pytest.mark.long
def test_the_error_of_a_likelihood_holds_the_dequantisation_noise():
    model = perturbed(build())
    x = model.sample(3, condition=1)
    options = DiffusionOptions(trace="exact", draws=16, likelihood_steps=4)
    runs = [model.log_prob(x, condition=1, seed=seed, options=options) for seed in range(12)]
    spread = torch.stack([run.value for run in runs]).std(0)
    claimed = torch.stack([run.stderr for run in runs]).mean(0)
    # A spread over 12 runs is itself known to about a fifth.
    assert ((spread / claimed).log().abs() < 0.8).all()


def test_a_likelihood_is_computed_in_the_models_precision():
    model = perturbed(build()).float()
    x = model.sample(3, condition=1)
    plain = model.log_prob(x, condition=1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model.log_prob(x.double(), condition=1).value, plain.value)


def test_empty_batches_and_counts():
    model = build()
    assert model.sample(0, condition=1).shape == (0, 1, 4, 4)
    with pytest.raises(DanluError, match="at least one example"):
        model.log_prob(torch.zeros(0, 1, 4, 4))
    with pytest.raises(DanluError, match="at a time"):
        model.sample(3, batch=0)


def test_times_are_stratified():
    dtype = torch.float64
    u = stratified(BatchNoise(10, dtype=dtype), uniform, Linear())
    assert (u.sort().values * 10).floor().tolist() == list(range(10))
    t = stratified(BatchNoise(20_000, dtype=dtype), logit_normal, Linear())
    # Logistic of a standard normal: mean 1/2, variance 0.2083 - 0.25 + ... by quadrature 0.04331.
    assert t.mean() == pytest.approx(0.5, abs=1e-3)
    assert t.var() == pytest.approx(0.04331, abs=2e-4)
