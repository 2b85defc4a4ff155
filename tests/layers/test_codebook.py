import pytest
import torch

from danlu.contracts import DanluError
from danlu.layers.codebook import Codebook


def state(book):
    return {name: value.clone() for name, value in book.state_dict().items()}


def unchanged(book, before):
    return all(torch.equal(value, before[name]) for name, value in book.state_dict().items())


def test_only_training_with_gradients_stashes():
    book, z = Codebook(4, 3), torch.randn(2, 5, 3, requires_grad=True)
    before = state(book)
    with torch.no_grad():
        book(z)
    book.eval()
    book(z)
    book.update()
    assert not book.statistics()
    assert unchanged(book, before)
    book.train()
    quantised, ids = book(z)
    assert quantised.shape == z.shape
    assert ids.shape == (2, 5)
    assert torch.equal(quantised, book.lookup(ids))
    assert [tuple(part.shape) for part in book.statistics()] == [(4,), (4, 3)]
    assert not any(part.requires_grad for part in book.statistics())
    assert unchanged(book, before)
    book.update()
    assert not book.statistics()
    assert not unchanged(book, before)


def test_a_cell_without_vectors_keeps_its_code():
    book = Codebook(3, 2, decay=0.0)
    book.vectors[2] = 1e3
    kept = book.vectors[2].clone()
    book(torch.randn(50, 2, requires_grad=True))
    book.update()
    assert torch.equal(book.vectors[2], kept)


def test_a_second_pass_over_the_batch_changes_nothing():
    once, twice = Codebook(4, 3), Codebook(4, 3)
    twice.load_state_dict(once.state_dict())
    z = torch.randn(20, 3, requires_grad=True)
    for _ in range(2):
        twice(z)
    once(z)
    for book in (once, twice):
        book.update()
    torch.testing.assert_close(once.vectors, twice.vectors)


@pytest.mark.parametrize("n", [1, 3, 100])
def test_the_start_works_with_any_number_of_vectors(n):
    book, z = Codebook(8, 3), torch.randn(n, 3)
    book.start(z)
    assert book.vectors.isfinite().all()
    assert not book.statistics()
    if n >= 100:
        assert len(book.nearest(z).unique()) == 8


def test_separate_clusters_get_a_code_each():
    centres = 100 * torch.randn(8, 4)
    z = (centres[:, None] + torch.randn(8, 50, 4)).flatten(0, 1)
    book = Codebook(8, 4, dead_below=0.5)
    book.start(z)
    for step in range(30):
        book.train()(z.clone().requires_grad_())
        book.update(decay=0.0)
        book.revive(step)
    assert len(book.nearest(centres).unique()) == 8


def test_impossible_books_are_refused():
    with pytest.raises(ValueError, match="0 x 3"):
        Codebook(0, 3)
    with pytest.raises(ValueError, match="decay"):
        Codebook(2, 3, decay=1.0)


def stashed(book, rows, decay=None):
    book.train()(rows.requires_grad_())
    book.update(decay=decay)
    return book


@pytest.mark.parametrize("parts", [[0], [0, 0], [20, 0], [0, 20]])
def test_batches_without_a_vector_tell_nothing(parts):
    """An empty batch, or one of padding alone, made all shares NaN for ever."""
    torch.manual_seed(0)
    rows = torch.randn(20, 3)
    book, expected = Codebook(4, 3), Codebook(4, 3)
    expected.load_state_dict(book.state_dict())
    for n in parts:
        book(rows[:n].clone().requires_grad_())
    book.update()
    if sum(parts):
        stashed(expected, rows.clone())
    for name, value in book.state_dict().items():
        assert torch.equal(value, expected.state_dict()[name]), name
    book.revive(0)
    assert all(bool(value.isfinite().all()) for value in book.state_dict().values())


def test_no_vectors_are_no_start_and_no_perplexity_but_a_word():
    book = Codebook(4, 3)
    with pytest.raises(DanluError, match="there are none"):
        book.start(torch.zeros(0, 3))
    assert book.perplexity(torch.zeros(0, dtype=torch.long)) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_counts_as_float32_does(dtype):
    """70,000 vectors overflow a sum of float16, and bfloat16 ends counting at 256."""
    torch.manual_seed(0)
    rows = (torch.randn(70_000, 2) + 3).to(dtype)
    low, wide = Codebook(3, 2).to(dtype), Codebook(3, 2)
    wide.load_state_dict(low.state_dict())
    for book in (low, wide):
        stashed(book, rows.clone().to(book.vectors.dtype), decay=0.0)
    rounding = 2 * torch.finfo(dtype).eps
    for name, value in low.state_dict().items():
        torch.testing.assert_close(
            value.float(), wide.state_dict()[name], rtol=rounding, atol=rounding
        )
    large = Codebook(2, 2).to(dtype)
    large.vectors.copy_(torch.tensor([[300.0, 0.0], [-300.0, 0.0]]))
    assert large.nearest(torch.tensor([[-290.0, 1.0]], dtype=dtype)).item() == 1
    ids = torch.arange(3).repeat(30_000)
    assert low.perplexity(ids).item() == pytest.approx(3, rel=1e-3)
