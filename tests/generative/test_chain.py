import pytest
import torch

from danlu.contracts import (
    Batch,
    Bound,
    CapabilityError,
    Classes,
    Condition,
    DanluError,
    DataDescription,
    Progress,
)
from danlu.data import Examples, ExampleStream
from danlu.generative.chain import Chain, ChainOptions
from danlu.generative.diffusion.rectified_flow import build as build_flow
from danlu.generative.parts.affine import Linear, Normalise
from danlu.generative.parts.dequantise import Dequantise
from danlu.generative.parts.priors import GaussianPrior, LogisticPrior
from danlu.generative.parts.split import Split
from danlu.optim import OptimizerOptions
from danlu.training import Budget, Plan, Trainer


def vectors(dim, levels=None):
    return DataDescription(shape=(dim,), levels=levels, low=-1.0, high=1.0)


def split_twice():
    layers = [
        Linear(6),
        Split(4, torch.nn.Linear(4, 4)),
        Linear(4),
        Split(1, torch.nn.Linear(1, 6)),
    ]
    return Chain(vectors(6), layers, GaussianPrior(vectors(1)))


@pytest.mark.usefixtures("float64")
def test_a_code_of_several_tensors_comes_back():
    model, x = split_twice(), torch.randn(5, 6)
    code = model.encode(x)
    assert [tuple(part.shape) for part in code] == [(5, 1), (5, 2), (5, 3)]
    assert torch.allclose(model.decode(code), x)
    assert torch.allclose(model.reconstruct(x), x)


def test_what_a_split_kept_is_drawn_when_sampling():
    model = split_twice()
    x = model.sample(6, seed=2)
    assert x.shape == (6, 6)
    assert torch.allclose(model.sample(6, seed=2, batch=1), x, atol=1e-6)


def test_bounds_and_measures_of_layers():
    data = vectors(3, levels=5)
    exact = Chain(vectors(3), [Linear(3)], LogisticPrior(vectors(3)))
    rounded = Chain(data, [Dequantise(data), Linear(3)], GaussianPrior(vectors(3)))
    x = torch.tensor([[-1.0, 0.0, 0.5]])
    assert exact.log_prob(x).bound is Bound.EXACT
    assert exact.log_prob(x).evaluations == 0  # it has no network
    assert rounded.log_prob(x).bound is Bound.LOWER
    assert rounded.log_prob(x).bits_per_dim().isfinite().all()


def test_priors_refuse_training():
    batch = Batch(torch.zeros(3, 2), None, torch.arange(3))
    progress = Progress(step=0, fraction=0.0, seed=0)
    with pytest.raises(CapabilityError, match="GaussianPrior has no training"):
        GaussianPrior(vectors(2)).loss(batch, "model", progress)


def test_normalise_refuses_a_scale_that_is_not_positive():
    with pytest.raises(ValueError, match="positive"):
        Normalise(torch.zeros(2), torch.tensor([1.0, 0.0]))


def test_a_chain_of_bijections_trains_by_likelihood():
    torch.manual_seed(0)
    mixing = torch.tensor([[2.0, 0.0], [1.5, 0.5]])
    x = torch.randn(2000, 2) @ mixing.T
    data = ExampleStream(Examples(x, None, vectors(2)), vectors(2), batch=500, seed=0)
    model = Chain(vectors(2), [Linear(2)], GaussianPrior(vectors(2)))
    plan = Plan(batch=500, optimizers={"default": OptimizerOptions(rate=0.1, weight_decay=0.0)})
    trainer = Trainer(model, data, plan, Budget(steps=150))
    trainer.run()
    trainer.keep_averages()
    exact = torch.distributions.MultivariateNormal(torch.zeros(2), mixing @ mixing.T)
    gap = exact.log_prob(x).mean() - model.log_prob(x).value.mean()
    assert abs(gap.item()) < 0.05


def test_a_prior_without_a_gradient_is_not_trained_in_a_chain():
    model = Chain(vectors(2), [Linear(2)], build_flow(vectors(2)))
    batch = Batch(torch.randn(3, 2), None, torch.arange(3))
    progress = Progress(step=0, fraction=0.0, seed=1)
    with pytest.raises(DanluError, match="use Staged"):
        model.loss(batch, "model", progress)
    with torch.no_grad():
        assert model.loss(batch, "model", progress).total.isfinite()


def test_a_chain_trains_unconditionales_now_and_then():
    seen = []

    class Watched(Linear):
        def encode(self, x, condition, noise):
            seen.append(condition is not None)
            return super().encode(x, condition, noise)

    data = DataDescription(shape=(2,), levels=None, low=-1.0, high=1.0, condition=Classes(3))
    model = Chain(data, [Watched(2)], GaussianPrior(vectors(2)))
    batch = Batch(torch.randn(3, 2), Condition(torch.arange(3)), torch.arange(3))
    for seed in range(20):
        model.loss(batch, "model", Progress(step=0, fraction=0.0, seed=seed))
    assert sum(seen) == 18


def test_an_error_of_the_prior_counts_once_and_breaks_the_importance_weighted_bound():
    inner = vectors(2, levels=5)
    noisy = Chain(inner, [Dequantise(inner), Linear(2)], GaussianPrior(vectors(2)))
    x = torch.tensor([[-1.0, 0.5]])
    still = Chain(inner, [Normalise(torch.zeros(2), torch.ones(2))], noisy)
    torch.nn.init.normal_(noisy.links[1].weight)
    alone, under = noisy.log_prob(x), still.log_prob(x)
    assert alone.stderr.item() > 0
    assert torch.equal(alone.stderr, under.stderr)
    assert under.bound is Bound.LOWER
    twice = Chain(inner, [Dequantise(inner)], noisy)
    assert twice.log_prob(x).bound is Bound.NONE
    assert twice.log_prob(x, options=ChainOptions(estimator="elbo")).bound is Bound.LOWER
