import pytest
import torch

from danlu.backbones.convnets import (
    ConvDecoder,
    ConvEncoder,
    PlainBlock,
    coarsest,
    map_from,
    map_into,
    pyramid,
)

SHAPES = [(1, 4, 4), (1, 8, 8), (3, 28, 28), (3, 32, 32), (1, 33, 25), (2, 64, 48)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_size_goes_through_and_comes_back(shape):
    encoder = ConvEncoder(shape, 5, width=8, features=3)
    decoder = ConvDecoder(5, shape, width=8, features=3)
    x, features = torch.randn(2, *shape), torch.randn(2, 3)
    z = encoder(x, features)
    assert z.shape == (2, 5)
    assert decoder(z, features).shape == x.shape


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_maps_keep_the_coarsest_size(shape):
    encoder = ConvEncoder(shape, 5, width=8, features=3, leave=map_from)
    decoder = ConvDecoder(5, shape, width=8, features=3, enter=map_into)
    x, features = torch.randn(2, *shape), torch.randn(2, 3)
    z = encoder(x, features)
    assert z.shape == (2, 5, *coarsest(shape, 8)[1:])
    assert decoder(z, features).shape == x.shape


def test_large_even_images_are_folded_and_small_ones_are_not():
    assert pyramid((1, 28, 28), 8) == (2, [(14, 14), (7, 7)], [8, 16])
    assert pyramid((1, 8, 8), 8) == (1, [(8, 8), (4, 4)], [8, 16])
    assert pyramid((1, 33, 25), 8)[0] == 1


@pytest.mark.usefixtures("float64")
def test_plain_blocks_have_second_derivatives():
    encoder = ConvEncoder((1, 8, 8), 1, width=4, block=PlainBlock)
    x = torch.randn(2, 1, 8, 8, requires_grad=True)

    def slope(x):
        (gradient,) = torch.autograd.grad(encoder(x, None).sum(), x, create_graph=True)
        return gradient.square().sum()

    (found,) = torch.autograd.grad(slope(x), x)
    step = 1e-5 * torch.randn_like(x)
    expected = (slope(x + step) - slope(x - step)) / 2
    assert (found * step).sum().item() == pytest.approx(expected.item(), rel=1e-3, abs=1e-12)
