import pytest
import torch

from danlu.contracts import Batch, Condition, DanluError, Progress
from danlu.generative.chain import ChainOptions
from danlu.generative.tiny import TINY, TINY_VECTOR
from danlu.generative.vae.vae import build
from danlu.losses.likelihoods import round_to_levels

PROGRESS = Progress(step=0, fraction=0.0, seed=0)


def batch(n=6):
    level = torch.randint(4, (n, 1, 4, 4))
    return Batch(TINY.low + level * TINY.spacing, Condition(torch.arange(n) % 3), torch.arange(n))


def test_pictures_show_means_and_say_so_while_samples_are_draws():
    model = build().eval()
    draws = model.sample(4, condition=1)
    means = model.sample(4, condition=1, options=model.picture_options)
    assert model.picture_note == "means of p(x|z)"
    assert torch.equal(draws, round_to_levels(draws, TINY))
    assert not torch.equal(means, round_to_levels(means, TINY))


def test_options_answer_unknown_names_with_the_nearest_known_one():
    with pytest.raises(DanluError, match="did you mean 'iwae'"):
        ChainOptions(estimator="iwea")
    with pytest.raises(DanluError, match="did you mean 'mean'"):
        ChainOptions(output="means")
    with pytest.raises(DanluError, match="at least 2"):
        ChainOptions(draws=1)
    with pytest.raises(TypeError):
        ChainOptions(samples=3)  # type: ignore[call-arg]
    with pytest.raises(DanluError, match="did you mean 'gaussian'"):
        build(likelihood="gausian")


def disturbed():
    """A model away from its start, where residual branches are zero."""
    torch.manual_seed(0)
    model = build().double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def test_the_class_reaches_encoder_and_decoder():
    model = disturbed()
    x = batch().x.double()
    codes = [model.encode(x, condition=c) for c in (None, 0, 1)]
    assert not torch.equal(codes[0], codes[1])
    assert not torch.equal(codes[1], codes[2])
    told = Condition(torch.zeros(6, dtype=torch.long))
    outputs = [model.block.output(codes[0], c) for c in (None, told)]
    assert not torch.equal(*outputs)


def test_dropped_labels_train_the_null_class():
    model, rows = disturbed(), []
    data = batch().to(model.device, model.dtype)
    for _ in range(20):
        model.loss(data, "model", PROGRESS).total.backward()
        rows.append(model.block.embedding.table.weight.grad[3].abs().sum().item())
        model.zero_grad()
    assert 0 < sum(row > 0 for row in rows) < 20


def test_vectors_have_a_density_and_images_a_probability():
    assert build(TINY_VECTOR).log_prob(torch.zeros(2, 2)).measure == "lebesgue"
    assert build(TINY).log_prob(batch().x).measure == "counting"


def test_total_is_the_negative_elbo_for_each_number():
    losses = build().loss(batch(), "model", PROGRESS)
    parts = losses.parts["distortion"] + losses.parts["rate"]
    assert losses.total.item() == pytest.approx(parts.item() / TINY.dims)
