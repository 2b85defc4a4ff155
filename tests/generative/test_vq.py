from dataclasses import replace

import pytest
import torch

from danlu.contracts import Batch, DanluError, Method, Progress
from danlu.contracts.noise import ItemNoise
from danlu.data import Examples, ExampleStream
from danlu.generative.composing import encode_data
from danlu.generative.quantized.networks import token_count
from danlu.generative.quantized.vq_vae import COMMITMENT, REVIVE_UNTIL, build
from danlu.generative.tiny import TINY, TINY_VECTOR
from danlu.generative.vae.vae import build as build_vae
from danlu.generative.vq import vq
from danlu.losses import LIKELIHOODS, DiscretisedLogistic, Gaussian
from danlu.losses.likelihoods import round_to_levels
from danlu.training import Budget, Plan, Trainer


def batch(description, n=12):
    x = torch.rand(n, *description.shape) * 2 - 1
    return Batch(x, None, torch.arange(n))


def at(fraction):
    return Progress(step=0, fraction=fraction, seed=1)


@pytest.mark.parametrize("description", [TINY, TINY_VECTOR], ids=["image", "vector"])
def test_ids_are_whole_numbers_of_the_codebook(description):
    model = build(description, codes=5)
    ids = model.encode(batch(description).x)
    assert ids.dtype == torch.int64
    assert tuple(ids.shape[1:]) == model.prior.description.shape
    assert ids.min() >= 0
    assert ids.max() < 5
    assert tuple(model.decode(ids).shape[1:]) == description.shape


def test_the_likelihood_is_a_lower_bound_without_statistical_error():
    found = build().log_prob(batch(TINY).x)
    assert (found.bound, found.measure, found.evaluations) == ("lower", "counting", 2)
    assert not found.stderr.any()
    assert build(TINY_VECTOR).log_prob(torch.zeros(2, 2)).measure == "lebesgue"


def test_the_total_is_distortion_for_each_number_and_commitment():
    losses = build().loss(batch(TINY), "model", at(0.0))
    parts = losses.parts
    expected = parts["distortion"] / TINY.dims + COMMITMENT * parts["commitment"]
    assert losses.total.item() == pytest.approx(expected.item())
    assert 1 <= losses.figures["perplexity"] <= 64
    assert losses.figures["used_codes"] == 64


def test_codes_start_among_the_tokens_and_follow_them_after_each_play():
    model, data = build(codes=8).train(), batch(TINY)
    far = torch.full_like(model.block.codebook.vectors, 100.0)
    model.block.codebook.vectors.copy_(far)
    model.start(data)
    assert model.block.codebook.vectors.abs().max() < 100
    before = model.block.codebook.vectors.clone()
    model.loss(data, "model", at(0.0))
    assert torch.equal(model.block.codebook.vectors, before)
    model.after_step("model", at(0.0))
    assert not torch.equal(model.block.codebook.vectors, before)


def test_dead_codes_are_revived_early_alone():
    for fraction, alive in ((0.0, True), (REVIVE_UNTIL, False)):
        model = build(codes=4).train()
        book = model.block.codebook
        book.vectors[3], book.shares[3], book.sums[3] = 1e3, 0.0, 0.0
        model.loss(batch(TINY), "model", at(fraction))
        model.after_step("model", at(fraction))
        assert (book.vectors[3].abs().max() < 1e3) == alive


def test_last_touches_move_each_code_to_the_mean_of_its_cell():
    model = build(codes=4).eval()
    data = batch(TINY)
    model.start(data)
    book, z = model.block.codebook, model.block.tokens(data.x).detach()
    ids = book.nearest(z)
    model.finish([data])
    for code in ids.unique():
        torch.testing.assert_close(book.vectors[code], z[ids == code].mean(0))


def test_an_unknown_likelihood_gets_the_nearest_name():
    with pytest.raises(DanluError, match="did you mean 'gaussian'"):
        build(likelihood="gausian")


# --- the second stage -------------------------------------------------------------------------


def disturbed():
    """A small model away from its start."""
    model = vq(codes=6, width=8, prior_width=16).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def stream(n=24):
    values = torch.randint(4, (n, 1, 4, 4), dtype=torch.uint8)
    return ExampleStream(Examples(values, torch.arange(n) % 3, TINY), TINY, batch=8, seed=0)


def test_the_prior_learns_ids_while_the_codebook_rests():
    model = vq(codes=6, width=8, prior_width=16)
    trainer = Trainer(model, stream(), Plan(batch=8), Budget(steps=10))
    trainer.begin()
    while trainer.course.active.index == 0:
        trainer.round() if not trainer.course.active.over else trainer.course.advance()
    batch = trainer.course.take()
    assert batch.x.dtype == torch.int64
    assert torch.equal(batch.condition.ids, batch.index % 3)
    before = {name: value.clone() for name, value in model.first.state_dict().items()}
    prior = {name: value.clone() for name, value in model.prior.state_dict().items()}
    trainer.run()
    assert all(torch.equal(value, before[name]) for name, value in model.first.state_dict().items())
    assert any(
        not torch.equal(value, prior[name]) for name, value in model.prior.state_dict().items()
    )


def test_the_bound_is_the_decoder_and_the_ids_by_class():
    model, data = disturbed(), stream()
    batch = next(data).to(model.device, torch.float64)
    found = model.log_prob(batch.x, condition=batch.condition)
    assert (found.bound, found.measure, found.condition) == ("lower", "counting", "class")
    ids = model.encode(batch.x)
    prior = model.prior.log_prob(ids.double(), condition=batch.condition)
    likelihood = model.first.block.likelihood
    decoder = likelihood.log_prob(batch.x, model.first.block.output(ids))
    torch.testing.assert_close(found.value, prior.value + decoder)
    assert not torch.equal(found.value, model.log_prob(batch.x).value)


def test_ids_are_replaced_in_training_alone():
    model = disturbed()
    prior, codes = model.prior, encode_data(model, stream())
    batch = replace(next(codes), condition=None)
    losses = {prior.loss(batch, "model", at(0.0)).total.item() for _ in range(3)}
    prior.replaced = 0.0
    assert len(losses) == 3
    assert len({prior.loss(batch, "model", at(0.0)).total.item() for _ in range(3)}) == 1


def test_options_of_the_prior_reach_it():
    model = disturbed()

    def drawn(**given):
        return model.sample(2, options=model.Options(prior=model.prior.Options(**given)))

    assert model.sampling_evaluations(model.Options()) == 17
    assert not torch.equal(drawn(temperature=0.0), drawn())
    assert not torch.equal(drawn(temperature=0.0), drawn(top_p=0.9))
    with pytest.raises(DanluError, match="options of type StagedOptions"):
        model.sample(2, options=model.prior.Options())
    with pytest.raises(DanluError, match="replaced"):
        vq(replaced=1.0)


def test_a_batch_in_parts_trains_the_same_codebook_and_prior():
    def trained(parts):
        torch.manual_seed(0)
        model = vq(codes=6, width=8, prior_width=16, replaced=0.3).double()
        Trainer(model, stream(), Plan(batch=8, micro_batches=parts), Budget(steps=8)).run()
        return model.state_dict()

    whole, parts = trained(1), trained(3)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=0, atol=1e-6, msg=name)


@pytest.mark.parametrize("family", [build_vae, build], ids=["vae", "vq-vae"])
def test_families_choose_a_likelihood_in_one_place(family, monkeypatch):
    class Other(Gaussian):
        """Another density."""

    with pytest.raises(DanluError, match="did you mean 'gaussian'"):
        family(TINY, likelihood="gausian")
    monkeypatch.setitem(LIKELIHOODS, "other", Method(Other, ("here",), lambda: Other(TINY)))
    assert type(family(TINY, likelihood="other").block.likelihood) is Other
    assert type(family(TINY).block.likelihood) is DiscretisedLogistic
    assert type(family(replace(TINY, levels=None)).block.likelihood) is Gaussian


def test_unrounded_draws_round_to_the_draws():
    model, noise = build(TINY, codes=4, width=4), [ItemNoise(1, range(5)) for _ in range(2)]
    ids = torch.randint(4, (5, token_count(TINY)))
    drawn = model.expand(ids, None, noise[0], "draw")
    unrounded = model.expand(ids, None, noise[1], "unrounded")
    assert not torch.equal(drawn, unrounded)
    assert torch.equal(round_to_levels(unrounded, TINY), drawn)
