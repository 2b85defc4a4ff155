import pytest
import torch

from danlu.contracts import Batch, DanluError, Progress
from danlu.generative.quantized.vq_vae import COMMITMENT, REVIVE_UNTIL, build
from danlu.generative.tiny import TINY, TINY_VECTOR


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
    assert (found.bound, found.measure, found.evaluations) == ("lower", "counting", 1)
    assert not found.stderr.any()
    assert build(TINY_VECTOR).log_prob(torch.zeros(2, 2)).measure == "lebesgue"


def test_the_total_is_distortion_for_each_number_and_commitment():
    losses = build().loss(batch(TINY), "model", at(0.0))
    parts = losses.parts
    expected = parts["distortion"] / TINY.dims + COMMITMENT * parts["commitment"]
    assert losses.total.item() == pytest.approx(expected.item())
    assert 1 <= parts["perplexity"] <= 64
    assert parts["used_codes"] == 64


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
