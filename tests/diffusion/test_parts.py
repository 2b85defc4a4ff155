"""Parts by name, any training sampled by any solver, and the errors of bad combinations."""

import pytest
import torch

from danlu.contracts import Batch, Condition, DanluError, Progress
from danlu.contracts.noise import BatchNoise
from danlu.generative.diffusion import (
    COUPLINGS,
    PATHS,
    PRECONDITIONERS,
    PREDICTIONS,
    SOLVERS,
    TIME_SAMPLERS,
    WEIGHTINGS,
    predictions,
)
from danlu.generative.diffusion.beta_paths import LinearBeta
from danlu.generative.diffusion.couplings import BRIDGE, Schrodinger
from danlu.generative.diffusion.ddpm import build
from danlu.generative.diffusion.discrete import Discrete, linear_betas
from danlu.generative.diffusion.grids import quadratic, uniform
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.parts import TABLES, Parts
from danlu.generative.diffusion.paths import EDM, Linear, Point, VarianceExploding
from danlu.generative.diffusion.rectified_flow import build as build_flow
from danlu.generative.diffusion.solvers.ancestral import Ancestral
from danlu.generative.diffusion.solvers.ddim import DDIM
from danlu.generative.diffusion.solvers.stochastic_heun import StochasticHeun
from danlu.generative.diffusion.time_samplers import log_normal, steps, stratified
from danlu.generative.tiny import TINY, TINY_VECTOR

TINY_DATA = Batch(torch.linspace(-1, 1, 16).view(8, 2), None, torch.arange(8))


def losses_of(parts: str) -> float:
    torch.manual_seed(0)
    model = build(TINY_VECTOR, parts=parts)
    return model.loss(TINY_DATA, "model", Progress(0, 0.0, 0)).total.item()


@pytest.mark.parametrize("field", TABLES)
def test_every_row_of_every_part_trains_and_samples(field):
    for name in TABLES[field]:
        # Only a table has steps.
        others = "times=uniform," if field == "path" else ""
        model = build(TINY_VECTOR, parts=f"{others}{field}={name}")
        assert torch.isfinite(model.loss(TINY_DATA, "model", Progress(0, 0.0, 0)).total)
        options = model.Options(solver="ddim", grid="karras", evaluations=4)
        assert model.sample(3, options=options).isfinite().all()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_any_path_is_sampled_by_any_solver_on_every_grid(path, solver, recwarn):
    model = build(TINY_VECTOR, parts=f"times=uniform,path={path}")
    for grid in ("uniform", "logarithmic"):
        options = model.Options(solver=solver, grid=grid, evaluations=7)
        assert model.sample(2, options=options).isfinite().all()
        assert model.sampling_evaluations(options) <= 7
    assert not recwarn.list


def test_parts_are_changed_by_name():
    parts = Parts().changed("prediction=v, weighting=min-snr")
    assert (parts.prediction, parts.weighting, parts.path) == ("v", "min-snr", "linear")
    assert Parts().changed("") == Parts()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path=vp-cosin", "Unknown path 'vp-cosin'; did you mean 'vp-cosine'"),
        ("weighting=minsnr", "did you mean 'min-snr'"),
        ("times=uniformly", "Unknown time sampler"),
        ("predicts=noise", "Unknown part 'predicts'; did you mean 'prediction'"),
        ("noise", "Parts read part=name"),
    ],
)
def test_bad_parts_are_one_line(text, message):
    with pytest.raises(DanluError, match=message):
        build(parts=text)


def test_steps_need_a_table():
    with pytest.raises(DanluError, match="needs a discrete path"):
        losses_of("path=vp-linear")


def test_times_by_steps_are_the_tables():
    path = Discrete(linear_betas(8))
    t = stratified(BatchNoise(16, dtype=torch.float64), steps, path)
    assert (t.sort().values * 8).tolist() == [1 + i // 2 for i in range(16)]


def test_log_normal_levels_do_not_depend_on_the_path():
    u = torch.linspace(0.01, 0.99, 9, dtype=torch.float64)
    for path in (Linear(), EDM(), LinearBeta()):
        alpha, sigma = path.coefficients(log_normal(u, path))
        known = (-1.2 + 1.2 * torch.special.ndtri(u)).exp()
        assert torch.allclose(sigma / alpha, known, rtol=1e-12)


def test_impossible_conversions_say_so():
    clean = Point(1.0, 0.0, 0.0, 1.0)
    with pytest.raises(DanluError, match=r"data prediction cannot be converted: .* singular"):
        predictions.solve(predictions.data, clean, torch.ones(1), torch.ones(1))
    no_data = Point(torch.zeros(2), torch.ones(2), torch.ones(2), torch.ones(2))
    with pytest.raises(DanluError, match="singular"):
        predictions.solve(predictions.noise, no_data, torch.ones(2), torch.ones(2))


@pytest.mark.parametrize("betas", [[0.5], [0.0, 0.5], [0.5, 1.0]])
def test_bad_tables_are_refused(betas):
    with pytest.raises(DanluError, match="discrete path needs"):
        Discrete(torch.tensor(betas))


def test_bad_solver_settings_are_refused():
    with pytest.raises(DanluError, match="eta"):
        DDIM(1.5)
    with pytest.raises(DanluError, match="churn"):
        StochasticHeun(0.5)
    with pytest.raises(DanluError, match="did you mean 'large'"):
        Ancestral("larger")
    with pytest.raises(DanluError, match="did you mean 'bound'"):
        DiffusionOptions(likelihood="bounds")


def test_solvers_are_told_their_own_options():
    options = DiffusionOptions(solver="ancestral", variance="large", eta=0.5, churn=0.1)
    solver = options.made_solver()
    assert isinstance(solver, Ancestral)
    assert solver.variance == "large"


def test_grids_follow_the_time_of_the_path():
    path = VarianceExploding()
    grid = uniform(path, 4, *path.levels())
    assert grid[:-1] == pytest.approx([0.01 * 5000**share for share in (1, 0.75, 0.5, 0.25)])
    grid = quadratic(path, 4, *path.levels())
    assert grid[1] == pytest.approx(0.01 * 5000**0.5625)


def test_tables_hold_what_others_build_on():
    assert {"linear", "vp-cosine", "edm", "discrete-linear"} <= set(PATHS)
    assert {"noise", "data", "score", "velocity", "v", "edm"} == set(PREDICTIONS)
    assert {"plain", "edm"} <= set(PRECONDITIONERS)
    assert {"uniform", "steps"} <= set(TIME_SAMPLERS)
    assert {"simple", "p2"} <= set(WEIGHTINGS)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"solver": "ancestral", "evaluations": 4}, "the fresh noise of solver 'ancestral'"),
        ({"solver": "ddim", "eta": 0.5, "evaluations": 4}, "the fresh noise of solver 'ddim'"),
    ],
)
def test_a_dependent_coupling_keeps_the_flow_and_refuses_a_score(options, what):
    model = build(TINY_VECTOR, parts="coupling=optimal")
    assert model.sample(2, options=model.Options(solver="heun", evaluations=5)).isfinite().all()
    with pytest.raises(DanluError, match=f"has a flow but no score, which {what} needs"):
        model.sample(2, options=model.Options(**options))
    with pytest.raises(DanluError, match="no score, which the likelihood 'bound' needs"):
        model.log_prob(TINY_DATA.x)
    with pytest.raises(DanluError, match="the prediction 'score'"):
        build(TINY_VECTOR, parts="coupling=sinkhorn,prediction=score")


def test_a_bridge_trains_by_the_velocity_that_its_data_and_noise_stand_for():
    torch.manual_seed(0)
    x, z, epsilon = (torch.randn(4, 2, dtype=torch.float64) for _ in range(3))
    t, path = torch.tensor([0.1, 0.4, 0.5, 0.9], dtype=torch.float64), Linear()
    data, noise = Schrodinger().bend(x, z, t, path, OneDraw(epsilon))
    column = t[:, None]
    spread = BRIDGE * (column * (1 - column)).sqrt()
    rate = BRIDGE**2 * (1 - 2 * column) / (2 * spread)
    straight = (1 - column) * x + column * z
    torch.testing.assert_close((1 - column) * data + column * noise, straight + spread * epsilon)
    torch.testing.assert_close(noise - data, z - x + rate * epsilon)


@pytest.mark.parametrize("path", ["linear", "variance-exploding"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_edm_measures_the_output_by_the_deviation_of_its_target(prediction, path):
    model = build(TINY_VECTOR, parts=f"path={path},prediction={prediction},preconditioner=edm")
    model.network.forward = lambda x, label, condition: torch.ones_like(x)
    t = torch.tensor([0.2, 0.7])
    point = model.path.points(t)
    # Data of deviation 1/2 and noise of deviation 1, all four pairs of signs.
    values = [
        predictions.combine(
            model.prediction, point, torch.full((2,), data), torch.full((2,), noise)
        )
        for data in (-0.5, 0.5)
        for noise in (-1.0, 1.0)
    ]
    deviation = torch.stack(values).square().mean(0).sqrt()
    torch.testing.assert_close(model.value(torch.zeros(2, 2), t, None)[:, 0], deviation)


class OneDraw(BatchNoise):
    """Noise that is given."""

    def __init__(self, z):
        super().__init__(len(z))
        self.z = z

    def normal(self, *shape):
        return self.z


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_a_coupling_that_mixes_classes_says_so(coupling):
    """Noise of class means: `optimal` moved them without a word."""
    keeps = coupling in ("independent", "class-optimal")
    for build_one in (build, build_flow):
        model = build_one(TINY, parts=f"coupling={coupling}")
        assert bool(model.cautions) is not keeps
        assert all("class-optimal" in line for line in model.cautions)
        assert not build_one(TINY_VECTOR, parts=f"coupling={coupling}").cautions


@pytest.mark.parametrize(
    ("coupling", "least", "most"), [("optimal", 0.2, 2), ("class-optimal", 0, 0.1)]
)
def test_the_noise_of_a_class_stays_normal_by_class_alone(coupling, least, most):
    torch.manual_seed(0)
    ids = torch.arange(256) % 2
    x = 0.3 * torch.randn(256, 2) + 2.0 * (2 * ids[:, None] - 1)
    means = []
    for seed in range(8):
        torch.manual_seed(seed)
        draws = BatchNoise(256)
        z = COUPLINGS[coupling].build().pair(x, draws.normal(2), Condition(ids), draws)
        means.append(z[ids == 1].mean())
    assert least <= torch.stack(means).mean().abs() < most
