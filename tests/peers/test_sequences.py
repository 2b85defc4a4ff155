"""Attention and position encodings against transformers, rotary-embedding-torch and x-transformers.

Weights are copied; outputs, and gradients where both sides have them, must agree.
"""

import warnings

import pytest
import torch
from rotary_embedding_torch import RotaryEmbedding
from transformers import LlamaConfig, T5Config
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRotaryEmbedding
from transformers.models.t5.modeling_t5 import T5Attention

from danlu.backbones.transformer import Transformer
from danlu.layers.feed_forward import GatedMLP
from danlu.mixers.pointwise import Pointwise
from danlu.mixers.softmax import Softmax
from danlu.positions.alibi import ALiBi
from danlu.positions.rotary import Rotary
from danlu.positions.t5 import T5, bucket

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it scripts functions on import
    from x_transformers.x_transformers import AlibiPositionalBias

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]

DIM, HEADS, KEY_HEADS, LENGTH = 32, 4, 2, 9


def llama():
    config = LlamaConfig(
        hidden_size=DIM,
        intermediate_size=48,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
        num_hidden_layers=1,
        attn_implementation="eager",
    )
    return config, LlamaDecoderLayer(config, 0).double().eval()


def ours_from(config, layer):
    """The same block: our attention and feed-forward with Llama's weights."""
    attention = Softmax(DIM, heads=HEADS, key_heads=KEY_HEADS, position=Rotary(DIM // HEADS))
    network = GatedMLP(DIM, hidden=config.intermediate_size)
    block = [lambda dim, index, depth: attention, lambda dim, index, depth: Pointwise(dim, network)]
    stack = Transformer(DIM, 1, block)
    with torch.no_grad():
        of = layer.self_attn
        for mine, theirs in (
            (attention.query, of.q_proj),
            (attention.key, of.k_proj),
            (attention.value, of.v_proj),
            (attention.output, of.o_proj),
            (network.fall, layer.mlp.down_proj),
        ):
            mine.weight.copy_(theirs.weight)
        network.rise.weight.copy_(torch.cat([layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight]))
    stack.final = torch.nn.Identity()
    return stack


def test_a_llama_block_with_copied_weights():
    config, theirs = llama()
    ours = ours_from(config, theirs)
    x = torch.randn(2, LENGTH, DIM, requires_grad=True)
    places = torch.arange(LENGTH)[None].expand(2, -1)
    past = torch.full((LENGTH, LENGTH), -torch.inf).triu(1)[None, None]
    rotary = LlamaRotaryEmbedding(config).double()
    # Their angles come from float32 frequencies, also in a model of float64.
    found = theirs(
        x, attention_mask=past, position_ids=places, position_embeddings=rotary(x, places)
    )
    expected = found[0] if isinstance(found, tuple) else found
    y, _ = ours(x)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-6)
    slopes = [torch.autograd.grad(each.square().sum(), x)[0] for each in (y, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-5, atol=1e-5)


def test_interleaved_rotation():
    theirs = RotaryEmbedding(dim=8)
    x = torch.randn(2, 3, LENGTH, 8)
    places = torch.arange(LENGTH)[None].expand(2, -1)
    found = Rotary(8, layout="interleaved").turn(x, places)
    torch.testing.assert_close(found, theirs.rotate_queries_or_keys(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("causal", [True, False])
def test_t5_buckets(causal):
    relative = torch.arange(-600, 601)
    expected = T5Attention._relative_position_bucket(
        relative, bidirectional=not causal, num_buckets=32, max_distance=128
    )
    assert torch.equal(bucket(relative, 32, 128, causal=causal), expected)


def test_t5_bias():
    config = T5Config(d_model=DIM, num_heads=HEADS, is_decoder=False)
    theirs = T5Attention(config, has_relative_attention_bias=True).double()
    ours = T5(HEADS, causal=False)
    ours.table.load_state_dict(theirs.relative_attention_bias.state_dict())
    places = torch.arange(LENGTH)[None]
    empty = torch.randn(1, HEADS, LENGTH, 8)
    found = ours.bias(empty, empty, places, places)
    torch.testing.assert_close(found, theirs.compute_bias(LENGTH, LENGTH))


@pytest.mark.parametrize("heads", [4, 6, 8])
def test_alibi(heads):
    theirs = AlibiPositionalBias(heads=heads, total_heads=heads)
    q, places = torch.randn(1, heads, LENGTH, 8), torch.arange(LENGTH)[None]
    found = ALiBi(heads).bias(q, q, places, places)
    torch.testing.assert_close(found[0].float(), theirs(LENGTH, LENGTH).float())
