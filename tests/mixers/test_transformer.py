"""What the mixers' laws do not cover: refusals at construction, saving states, encoder-decoders."""

import io

import pytest
import torch

from danlu.backbones.transformer import (
    EncoderDecoder,
    Transformer,
    cross_layer,
    feed_forward_layer,
    softmax_layer,
    transformer_block,
)
from danlu.contracts import DanluError, SequenceContext, detached, reorder, state_bytes
from danlu.layers.attention import attend, fused, plain
from danlu.mixers.cross import CrossAttention
from danlu.mixers.pointwise import Pointwise
from danlu.mixers.softmax import Softmax
from danlu.positions import POSITIONS

pytestmark = pytest.mark.usefixtures("float64")


def stack():
    return Transformer(8, 2, transformer_block(2, position=POSITIONS["rope"].build())).eval()


@pytest.mark.parametrize("position", ["alibi", "shaw", "t5", "transformer-xl", "rope"])
def test_what_has_no_place_is_refused_with_the_reason(position):
    class Sum(Pointwise):
        def __init__(self):
            super(Pointwise, self).__init__(8, position=POSITIONS[position].build())

    with pytest.raises(DanluError, match=r"Sum cannot take \w+: it has no place for its"):
        Sum()
    with pytest.raises(DanluError, match="Transformer cannot take"):
        Transformer(8, 1, transformer_block(2), position=POSITIONS[position].build())


def test_a_state_is_saved_without_pickled_code():
    model, x = stack(), torch.randn(2, 7, 8)
    whole, _ = model(x)
    _, state = model(x[:, :4])
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    torch.testing.assert_close(model(x[:, 4:], None, loaded)[0], whole[:, 4:])


def test_beams_follow_their_rows():
    model, x = stack(), torch.randn(3, 5, 8)
    _, state = model(x)
    rows = torch.tensor([2, 2, 0, 1])
    more = torch.randn(4, 8)
    y, _ = model.step(more, reorder(state, rows))
    expected = model(torch.cat([x[rows], more[:, None]], dim=1))[0][:, -1]
    torch.testing.assert_close(y, expected)


def test_a_cache_is_counted_in_bytes():
    model = Softmax(8, heads=4, key_heads=1, head_dim=2)
    _, state = model(torch.randn(3, 10, 8))
    numbers = 3 * 10 * 2 * (1 * 2)  # keys and values
    facts = 3 * 10 * (8 + 8 + 1) + 3 * 8  # positions, order, validity; the next position
    assert state_bytes(state) == numbers * 8 + facts


def test_truncated_backpropagation_stops_at_the_state():
    model, x = stack(), torch.randn(1, 6, 8, requires_grad=True)
    _, state = model(x[:, :3])
    y, _ = model(x[:, 3:], None, detached(state))
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert not slope[:, :3].any()
    assert slope[:, 3:].any()


def test_the_decoder_follows_the_encoder_token_by_token():
    encoder = Transformer(8, 1, transformer_block(2, causal=False))
    decoder = Transformer(8, 2, [softmax_layer(2), cross_layer(2), feed_forward_layer()])
    model = EncoderDecoder(encoder, decoder).eval()
    source, target = torch.randn(2, 5, 8), torch.randn(2, 6, 8)
    valid = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    whole, _ = model(source, target, SequenceContext(valid=valid))
    _, state = model(source, target[:, :1], SequenceContext(valid=valid))
    for index in range(1, 6):
        y, state = decoder.step(target[:, index], state)
        torch.testing.assert_close(y, whole[:, index])
    shorter, _ = model(source[1:, :3], target[1:])
    torch.testing.assert_close(whole[1:], shorter)


def test_a_decoder_without_memory_is_refused():
    with pytest.raises(DanluError, match="no layer that reads"):
        EncoderDecoder(stack(), stack())


def test_memory_is_asked_for_where_it_is_missing():
    with pytest.raises(DanluError, match=r"context\.memory, which is missing"):
        CrossAttention(8, heads=2)(torch.randn(1, 2, 8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads": 3}, "3 heads do not divide a width of 8"),
        ({"heads": 4, "key_heads": 3}, "3 key heads cannot serve 4"),
        ({"heads": 2, "window": 0}, "must hold the token itself"),
    ],
)
def test_impossible_heads_are_refused(arguments, message):
    with pytest.raises(DanluError, match=message):
        Softmax(8, **arguments)


def test_a_window_is_a_band_of_the_full_mask():
    x, layer = torch.randn(1, 9, 8), Softmax(8, heads=2, window=3)
    full = Softmax(8, heads=2)
    full.load_state_dict(layer.state_dict())
    for index in range(9):
        start = max(0, index - 2)
        alone, _ = full(x[:, start : index + 1])
        torch.testing.assert_close(layer(x)[0][:, index], alone[:, -1])


def test_positions_are_those_of_the_context():
    """Packed, reversed or in time: rotary attention sees what it is told."""
    layer, x = (
        Softmax(8, heads=2, position=POSITIONS["rope"].build(), causal=False),
        torch.randn(1, 5, 8),
    )
    order = torch.tensor([3, 1, 4, 0, 2])
    y, _ = layer(x)
    shuffled, _ = layer(x[:, order], SequenceContext(positions=order[None]))
    torch.testing.assert_close(shuffled, y[:, order])


@pytest.mark.parametrize("form", [fused, plain])
def test_a_query_that_sees_nothing_gets_zeros(form):
    q, k, v = (torch.randn(1, 1, 3, 4, requires_grad=True) for _ in range(3))
    mask = torch.tensor([[True, False, True], [False] * 3, [True] * 3])[None, None]
    y = form(q, k, v, mask)
    assert not y[0, 0, 1].any()
    (slope,) = torch.autograd.grad(y.sum(), k)
    assert slope.isfinite().all()
    bias = torch.zeros(1, 1, 3, 3).masked_fill(~mask, -torch.inf)
    torch.testing.assert_close(form(q, k, v, bias), y)


def test_no_keys_give_zeros():
    q, none = torch.randn(2, 1, 3, 4), torch.randn(2, 1, 0, 4)
    assert not attend(q, none, none).any()
