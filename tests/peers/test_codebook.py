"""The codebook against vector-quantize-pytorch with copied codes."""

import pytest
import torch
from vector_quantize_pytorch import VectorQuantize

from danlu.layers.codebook import Codebook

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]

CODES, DIM, DECAY, BETA = 16, 4, 0.8, 0.25


def pair():
    ours = Codebook(CODES, DIM, decay=DECAY).train()
    theirs = VectorQuantize(
        dim=DIM,
        codebook_size=CODES,
        decay=DECAY,
        commitment_weight=BETA,
        rotation_trick=False,
        eps=1e-14,
    ).train()
    book = theirs._codebook
    book.embed.data.copy_(ours.vectors)
    book.embed_avg.data.copy_(ours.sums)
    book.cluster_size.data.copy_(ours.shares)
    return ours, theirs


def test_ids_values_and_gradients_are_the_same():
    ours, theirs = pair()
    z = torch.randn(3, 50, DIM)
    found, expected = z.clone().requires_grad_(), z.clone().requires_grad_()
    y, ids = ours(found)
    commitment = BETA * (found - y.detach()).square().mean()
    their_y, their_ids, their_commitment = theirs(expected)
    torch.testing.assert_close(y, their_y)
    assert torch.equal(ids, their_ids)
    torch.testing.assert_close(commitment, their_commitment.squeeze())
    (y.sin().sum() + commitment).backward()
    (their_y.sin().sum() + their_commitment.sum()).backward()
    torch.testing.assert_close(found.grad, expected.grad)


def test_moving_averages_agree_when_counts_are_shares():
    # The peer averages counts, we average shares: the same codes for batches of one size when it
    # starts with as many vectors as a batch has.
    ours, theirs = pair()
    n = 150
    theirs._codebook.cluster_size.data.mul_(n)
    theirs._codebook.embed_avg.data.mul_(n)
    for _ in range(4):
        z = torch.randn(n, DIM)
        ours(z.clone().requires_grad_())
        ours.update()
        theirs(z[None])
        torch.testing.assert_close(ours.vectors, theirs._codebook.embed[0])
