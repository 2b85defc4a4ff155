"""Blocks of published models, as transformers has them, with their weights in our layers."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import gelu
from transformers import (
    BertConfig,
    GemmaConfig,
    GPTNeoXConfig,
    LlamaConfig,
    Qwen3NextConfig,
    T5Config,
)
from transformers.models.bert.modeling_bert import BertLayer
from transformers.models.gemma.modeling_gemma import GemmaDecoderLayer, GemmaRotaryEmbedding
from transformers.models.gpt_neox.modeling_gpt_neox import GPTNeoXLayer, GPTNeoXRotaryEmbedding
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRotaryEmbedding
from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextGatedDeltaNet
from transformers.models.t5.modeling_t5 import T5Stack

from danlu.backbones.transformer import PostNormTransformer, Transformer
from danlu.layers.feed_forward import MLP, GatedMLP
from danlu.layers.norms import EPSILON, LayerNorm, RMSNorm
from danlu.mixers.gated_delta import GatedDeltaNet
from danlu.mixers.pointwise import Pointwise
from danlu.mixers.softmax import ShiftedSoftmax, Softmax
from danlu.positions.frequencies import geometric
from danlu.positions.interpolation import InterpolatedRotary
from danlu.positions.llama3 import Llama3Rotary
from danlu.positions.ntk_dynamic import DynamicNTKRotary
from danlu.positions.rotary import Rotary
from danlu.positions.t5 import T5
from danlu.positions.yarn import YaRN

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]

DIM, HEADS, KEY_HEADS, HIDDEN, LENGTH = 32, 4, 2, 48, 40
SIZE, TRAINED = DIM // HEADS, 16
"""The size of a head, and the tokens that a scaled rotation was trained with."""

PAST = torch.full((LENGTH, LENGTH), -torch.inf).triu(1)[None, None]
PLACES = torch.arange(LENGTH)[None].expand(2, -1)


def scattered(layer):
    """Weights that are nowhere those of a fresh model."""
    generator = torch.Generator().manual_seed(3)
    layer = layer.double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(0.2 * noise)
    return layer


def copied(*pairs):
    """Our parameters take over theirs; several of theirs are joined along the outputs."""
    with torch.no_grad():
        for mine, theirs in pairs:
            mine.copy_(torch.cat(theirs) if isinstance(theirs, list) else theirs)


def same(ours, theirs, *, tolerance=1e-5, dim=DIM):
    """Outputs and gradients by the tokens; their angles are of float32."""
    generator, ends = torch.Generator().manual_seed(5), []
    given = torch.randn(2, LENGTH, dim, generator=generator, dtype=torch.float64)
    for run in (ours, theirs):
        x = given.clone().requires_grad_()
        y = run(x)
        y = y[0] if isinstance(y, tuple) else y
        ends.append([y.detach(), *torch.autograd.grad(y.sin().sum(), x)])
    torch.testing.assert_close(*ends, rtol=tolerance, atol=tolerance)


def stacked(attention, network, *, norm, kind=Transformer):
    """A block of ours with given layers."""
    block = [lambda *_: attention, lambda dim, *_: Pointwise(dim, network)]
    return kind(DIM, 1, block, norm=norm).double().eval()


def of_llama(layer, attention, network):
    """Llama's and Gemma's layers have the same names."""
    of, mlp = layer.self_attn, layer.mlp
    copied(
        (attention.query.weight, of.q_proj.weight),
        (attention.key.weight, of.k_proj.weight),
        (attention.value.weight, of.v_proj.weight),
        (attention.output.weight, of.o_proj.weight),
        (network.rise.weight, [mlp.gate_proj.weight, mlp.up_proj.weight]),
        (network.fall.weight, mlp.down_proj.weight),
    )


def rotated(layer, rotary, x):
    return layer(x, attention_mask=PAST, position_ids=PLACES, position_embeddings=rotary(x, PLACES))


SCALINGS = {
    "default": (lambda: Rotary(SIZE), {}),
    "linear": (lambda: InterpolatedRotary(SIZE, factor=4.0), {"factor": 4.0}),
    "dynamic": (lambda: DynamicNTKRotary(SIZE, factor=2.0, length=TRAINED), {"factor": 2.0}),
    "yarn": (lambda: YaRN(SIZE, factor=4.0, length=TRAINED), {"factor": 4.0}),
    "llama3": (
        lambda: Llama3Rotary(SIZE, factor=8.0, length=TRAINED, base=10_000.0),
        {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    ),
}


@pytest.mark.parametrize("kind", SCALINGS)
def test_llama_with_each_scaling_beyond_the_length_it_was_trained_with(kind):
    position, options = SCALINGS[kind]
    grows = kind == "dynamic"
    scaling = {"rope_type": kind, "rope_theta": 10_000.0, **options}
    if kind in ("yarn", "llama3"):
        scaling["original_max_position_embeddings"] = TRAINED
    config = LlamaConfig(
        hidden_size=DIM,
        intermediate_size=HIDDEN,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
        num_hidden_layers=1,
        max_position_embeddings=TRAINED if grows else 4 * TRAINED,
        rope_parameters=scaling,
        attn_implementation="eager",
    )
    theirs = scattered(LlamaDecoderLayer(config, 0))
    attention = Softmax(DIM, heads=HEADS, key_heads=KEY_HEADS, position=position())
    network = GatedMLP(DIM, hidden=HIDDEN)
    ours = stacked(attention, network, norm=partial(with_epsilon, config.rms_norm_eps))
    of_llama(theirs, attention, network)
    copied(
        (ours.norms[0].gain, theirs.input_layernorm.weight),
        (ours.norms[1].gain, theirs.post_attention_layernorm.weight),
    )
    ours.final = nn.Identity()
    rotary = LlamaRotaryEmbedding(config).double()
    same(ours, partial(rotated, theirs, rotary))


def with_epsilon(epsilon, dim):
    """Our norm, whose epsilon is that of the published models."""
    assert epsilon == EPSILON
    return RMSNorm(dim)


def test_gemma_counts_gains_from_one_and_heads_are_wider_than_the_stream():
    config = GemmaConfig(
        hidden_size=DIM,
        intermediate_size=HIDDEN,
        num_attention_heads=HEADS,
        num_key_value_heads=1,
        head_dim=2 * SIZE,
        num_hidden_layers=1,
        attn_implementation="eager",
    )
    theirs = scattered(GemmaDecoderLayer(config, 0))
    attention = Softmax(DIM, heads=HEADS, key_heads=1, head_dim=2 * SIZE, position=Rotary(2 * SIZE))
    network = GatedMLP(DIM, hidden=HIDDEN, activation=partial(gelu, approximate="tanh"))
    ours = stacked(attention, network, norm=partial(with_epsilon, config.rms_norm_eps))
    of_llama(theirs, attention, network)
    copied(
        (ours.norms[0].gain, 1 + theirs.input_layernorm.weight),
        (ours.norms[1].gain, 1 + theirs.post_attention_layernorm.weight),
    )
    ours.final = nn.Identity()
    same(ours, partial(rotated, theirs, GemmaRotaryEmbedding(config).double()))


def test_gpt_neox_turns_a_quarter_of_each_head():
    size, turning = 2 * SIZE, SIZE // 2
    config = GPTNeoXConfig(
        hidden_size=DIM,
        intermediate_size=HIDDEN,
        num_attention_heads=HEADS // 2,
        num_hidden_layers=1,
        layer_norm_eps=EPSILON,
        use_parallel_residual=False,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 10_000.0,
            "partial_rotary_factor": turning / size,
        },
        attn_implementation="eager",
    )
    theirs = scattered(GPTNeoXLayer(config, 0))
    position = Rotary(size, rotated=turning, frequencies=geometric(turning))
    attention = ShiftedSoftmax(DIM, heads=HEADS // 2, position=position)
    network = MLP(DIM, hidden=HIDDEN)
    ours = stacked(attention, network, norm=LayerNorm)
    of = theirs.attention
    # Their rows hold query, key and value of a head, head by head.
    for part in ("weight", "bias"):
        joined = getattr(of.query_key_value, part).unflatten(0, (HEADS // 2, 3, size))
        maps = (attention.query, attention.key, attention.value)
        copied(*((getattr(to, part), joined[:, i].flatten(0, 1)) for i, to in enumerate(maps)))
        copied(
            (getattr(attention.output, part), getattr(of.dense, part)),
            (getattr(network.rise, part), getattr(theirs.mlp.dense_h_to_4h, part)),
            (getattr(network.fall, part), getattr(theirs.mlp.dense_4h_to_h, part)),
        )
    copied(
        (ours.norms[0].gain, theirs.input_layernorm.weight),
        (ours.norms[0].shift, theirs.input_layernorm.bias),
        (ours.norms[1].gain, theirs.post_attention_layernorm.weight),
        (ours.norms[1].shift, theirs.post_attention_layernorm.bias),
    )
    ours.final = nn.Identity()
    same(ours, partial(rotated, theirs, GPTNeoXRotaryEmbedding(config).double()))


def test_a_layer_of_bert_normalises_after_adding():
    config = BertConfig(
        hidden_size=DIM,
        intermediate_size=HIDDEN,
        num_attention_heads=HEADS,
        num_hidden_layers=1,
        layer_norm_eps=EPSILON,
        attn_implementation="eager",
    )
    theirs = scattered(BertLayer(config))
    attention = ShiftedSoftmax(DIM, heads=HEADS, causal=False)
    network = MLP(DIM, hidden=HIDDEN)
    ours = stacked(attention, network, norm=LayerNorm, kind=PostNormTransformer)
    of, out = theirs.attention.self, theirs.attention.output
    for part in ("weight", "bias"):
        copied(
            (getattr(attention.query, part), getattr(of.query, part)),
            (getattr(attention.key, part), getattr(of.key, part)),
            (getattr(attention.value, part), getattr(of.value, part)),
            (getattr(attention.output, part), getattr(out.dense, part)),
            (getattr(network.rise, part), getattr(theirs.intermediate.dense, part)),
            (getattr(network.fall, part), getattr(theirs.output.dense, part)),
        )
    for norm, peer in zip(ours.norms, (out.LayerNorm, theirs.output.LayerNorm), strict=True):
        copied((norm.gain, peer.weight), (norm.shift, peer.bias))
    same(ours, lambda x: theirs(x, attention_mask=None), tolerance=1e-9)


@pytest.mark.parametrize("decoder", [False, True])
def test_a_stack_of_t5_shares_the_bias_of_its_first_layer(decoder):
    config = T5Config(
        d_model=DIM,
        d_kv=SIZE,
        d_ff=HIDDEN,
        num_heads=HEADS,
        num_layers=2,
        dropout_rate=0.0,
        is_decoder=decoder,
        use_cache=False,
        feed_forward_proj="relu",
        vocab_size=7,
        attn_implementation="eager",
    )
    config.is_encoder_decoder = False
    theirs = scattered(T5Stack(config))
    bias = T5(HEADS, causal=decoder)
    attentions = [Softmax(DIM, heads=HEADS, causal=decoder, position=bias) for _ in range(2)]
    networks = [MLP(DIM, hidden=HIDDEN, activation=torch.relu) for _ in range(2)]
    block = [
        lambda dim, layer, depth: attentions[layer],
        lambda dim, layer, depth: Pointwise(dim, networks[layer]),
    ]
    norm = partial(with_epsilon, config.layer_norm_epsilon)  # theirs counts in float32
    ours = Transformer(DIM, 2, block, norm=norm).double().eval()
    for index, peer in enumerate(theirs.block):
        of, last = peer.layer[0], peer.layer[-1]
        attention, network = attentions[index], networks[index]
        copied(
            (attention.query.weight, of.SelfAttention.q.weight),
            (attention.key.weight, of.SelfAttention.k.weight),
            (attention.value.weight, of.SelfAttention.v.weight),
            (attention.output.weight, of.SelfAttention.o.weight),
            (network.rise.weight, last.DenseReluDense.wi.weight),
            (network.fall.weight, last.DenseReluDense.wo.weight),
            (network.rise.bias, torch.zeros(HIDDEN)),
            (network.fall.bias, torch.zeros(DIM)),
            (ours.norms[2 * index].gain, of.layer_norm.weight),
            (ours.norms[2 * index + 1].gain, last.layer_norm.weight),
        )
    copied(
        (bias.table.weight, theirs.block[0].layer[0].SelfAttention.relative_attention_bias.weight),
        (ours.final.gain, theirs.final_layer_norm.weight),
    )
    same(ours, lambda x: theirs(inputs_embeds=x).last_hidden_state, tolerance=5e-5)


def test_the_gated_delta_net_of_qwen3_next():
    heads, key, value = 2, 8, 16
    config = Qwen3NextConfig(
        hidden_size=DIM,
        linear_num_key_heads=heads,
        linear_num_value_heads=heads,
        linear_key_head_dim=key,
        linear_value_head_dim=value,
        linear_conv_kernel_dim=4,
        num_hidden_layers=1,
        layer_types=["linear_attention"],
        rms_norm_eps=EPSILON,
    )
    theirs = scattered(Qwen3NextGatedDeltaNet(config, 0))
    ours = GatedDeltaNet(DIM, heads=heads, head_dim=key, expand=value // key).double().eval()
    rows = theirs.in_proj_qkvz.weight.unflatten(0, (heads, -1)).split([key, key, value, value], 1)
    q, k, v, gate = (part.flatten(0, 1) for part in rows)
    strength, pace = theirs.in_proj_ba.weight.unflatten(0, (heads, 2)).unbind(1)
    copied(
        (ours.input.weight, [q, k, v]),
        (ours.gate.weight, gate),
        (ours.strength.weight, strength),
        (ours.pace.weight, pace),
        (ours.convolution.weight, theirs.conv1d.weight[:, 0]),
        (ours.step_bias, theirs.dt_bias),
        (ours.log_rate, theirs.A_log),
        (ours.norm.gain, theirs.norm.weight),
        (ours.output.weight, theirs.out_proj.weight),
    )
    same(ours, theirs, tolerance=2e-4)  # theirs counts in float32
