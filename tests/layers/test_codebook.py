import pytest
import torch

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
