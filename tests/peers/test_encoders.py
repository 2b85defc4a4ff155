"""RoFormer, DeBERTa and XLNet of transformers, whose random weights ours take over."""

import pytest
import torch
from torch.nn.functional import gelu, layer_norm, linear
from transformers import (
    DebertaConfig,
    DebertaV2Config,
    RoFormerConfig,
    RoFormerForMaskedLM,
    XLNetConfig,
)
from transformers.models.deberta.modeling_deberta import (
    DisentangledSelfAttention,
    build_relative_position,
)
from transformers.models.deberta_v2 import modeling_deberta_v2 as v2
from transformers.models.xlnet.modeling_xlnet import XLNetModel, XLNetRelativeAttention

from danlu.backbones.converters import from_roformer
from danlu.backbones.transformer import PostNormTransformer
from danlu.layers.feed_forward import MLP
from danlu.layers.norms import EPSILON, LayerNorm
from danlu.mixers.pointwise import Pointwise
from danlu.mixers.softmax import ShiftedSoftmax, read
from danlu.positions.deberta import DeBERTa
from danlu.positions.deberta_v2 import DeBERTaV2
from danlu.positions.rotary import Rotary
from danlu.positions.rotary_values import RotaryValues
from danlu.positions.transformer_xl import TransformerXL

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]

DIM, HEADS, LENGTH = 16, 2, 9
SIZE = DIM // HEADS
IDS = torch.arange(2 * LENGTH).reshape(2, LENGTH) * 7 % 23


def scattered(model):
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(0.3 * torch.randn_like(parameter))
    return model.double().eval()


def same(ours, theirs, x, *, tolerance=1e-9):
    found = []
    for run in (ours, theirs):
        given = x.clone().requires_grad_()
        y = run(given)
        (slope,) = torch.autograd.grad(y.sin().sum(), given)
        found.append((y.detach(), slope))
    torch.testing.assert_close(found[0], found[1], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("position", [Rotary, RotaryValues])
def test_roformer_gives_the_same_logits_and_gradients(position):
    config = RoFormerConfig(
        vocab_size=23,
        hidden_size=DIM,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        intermediate_size=24,
        layer_norm_eps=EPSILON,
        rotary_value=position is RotaryValues,
    )
    theirs = scattered(RoFormerForMaskedLM(config))
    rope = position(SIZE, layout="interleaved")
    block = [
        lambda dim, *_: ShiftedSoftmax(dim, heads=HEADS, causal=False, position=rope),
        lambda dim, *_: Pointwise(dim, MLP(dim, hidden=24)),
    ]
    ours = PostNormTransformer(DIM, 2, block, norm=LayerNorm).double().eval()
    stack, rest = from_roformer(theirs.state_dict())
    ours.load_state_dict(stack)

    def normed(x, name):
        parts = (rest[f"{name}.LayerNorm.{part}"] for part in ("weight", "bias"))
        return layer_norm(x, (DIM,), *parts, EPSILON)

    def logits(words):
        of_type = rest["roformer.embeddings.token_type_embeddings.weight"][0]
        y = ours(normed(words + of_type, "roformer.embeddings"))[0]
        head = "cls.predictions.transform"
        y = gelu(y @ rest[f"{head}.dense.weight"].T + rest[f"{head}.dense.bias"])
        decoder = [rest[f"cls.predictions.decoder.{part}"] for part in ("weight", "bias")]
        return linear(normed(y, head), *decoder)

    x = rest["roformer.embeddings.word_embeddings.weight"][IDS]
    # Their angles are of float32.
    same(logits, lambda x: theirs(inputs_embeds=x).logits, x, tolerance=1e-5)


@pytest.mark.parametrize("back", ["published", "paper"])
@pytest.mark.parametrize("direction", ["content to place", "place to content"])
def test_deberta_attention(direction, back):
    config = DebertaConfig(
        hidden_size=DIM,
        num_attention_heads=HEADS,
        relative_attention=True,
        max_relative_positions=5,
        pos_att_type=["c2p", "p2c"],
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    theirs = scattered(DisentangledSelfAttention(config))
    silent = theirs.pos_q_proj if direction == "content to place" else theirs.pos_proj
    with torch.no_grad():
        for parameter in silent.parameters():
            parameter.zero_()
    distances = torch.randn(10, DIM)
    ours = DeBERTa(HEADS, SIZE, farthest=5, back=back).double()
    with torch.no_grad():
        ours.table.copy_(distances)
        ours.key.load_state_dict(theirs.pos_proj.state_dict())
        ours.query.load_state_dict(theirs.pos_q_proj.state_dict())
    places = torch.arange(5)[None].expand(2, -1)

    def attention(x):
        q, k, v = theirs.in_proj(x).unflatten(-1, (HEADS, -1)).chunk(3, dim=-1)
        q, v = (
            part + bias.view(HEADS, -1) for part, bias in ((q, theirs.q_bias), (v, theirs.v_bias))
        )
        seen = {"keys": k, "values": v, "positions": places}
        return read(ours, q.transpose(1, 2), seen, places, None).transpose(1, 2).flatten(2)

    def expected(x):
        q = theirs.transpose_for_scores(theirs.in_proj(x))
        everything = torch.ones(2, 1, 5, 5, dtype=torch.bool)
        relative = build_relative_position(q, q)
        # From place to content their code takes the distance i - j, the paper j - i.
        turned = back == "paper" and silent is not theirs.pos_q_proj
        relative = -relative if turned else relative
        return theirs(x, everything, relative_pos=relative, rel_embeddings=distances)[0]

    same(attention, expected, torch.randn(2, 5, DIM), tolerance=1e-6)


@pytest.mark.parametrize("shared", [True, False])
def test_deberta_v2_attention(shared):
    """Log buckets for distances, and maps that places share with the content."""
    buckets, farthest, length = 6, 30, 45
    config = DebertaV2Config(
        hidden_size=DIM,
        num_attention_heads=HEADS,
        relative_attention=True,
        max_relative_positions=farthest,
        position_buckets=buckets,
        share_att_key=shared,
        pos_att_type=["c2p", "p2c"],
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    theirs = scattered(v2.DisentangledSelfAttention(config))
    distances = torch.randn(2 * buckets, DIM)
    ours = DeBERTaV2(HEADS, SIZE, farthest=farthest, buckets=buckets).double()
    places = torch.arange(length)[None].expand(2, -1)
    maps = {"key": "key_proj", "query": "query_proj"} if shared else {"key": "pos_key_proj"}
    maps = {"query": "pos_query_proj"} | maps
    with torch.no_grad():
        ours.table.copy_(distances)
        for mine, other in maps.items():
            getattr(ours, mine).load_state_dict(getattr(theirs, other).state_dict())

    def attention(x):
        parts = (theirs.query_proj(x), theirs.key_proj(x), theirs.value_proj(x))
        q, k, v = (part.unflatten(-1, (HEADS, -1)) for part in parts)
        seen = {"keys": k, "values": v, "positions": places}
        return read(ours, q.transpose(1, 2), seen, places, None).transpose(1, 2).flatten(2)

    def expected(x):
        everything = torch.ones(2, 1, length, length, dtype=torch.bool)
        return theirs(x, everything, rel_embeddings=distances)[0]

    same(attention, expected, torch.randn(2, length, DIM), tolerance=1e-6)


def test_xlnet_attention():
    config = XLNetConfig(d_model=DIM, n_head=HEADS, n_layer=1, d_inner=16, dropout=0.0)
    theirs = scattered(XLNetRelativeAttention(config))
    model = XLNetModel(config)
    # From the longest distance down; what their shift leaves unused stands at the end.
    sinusoids = model.relative_positional_encoding(LENGTH, LENGTH, bsz=2).double()
    ours = TransformerXL(HEADS, SIZE).double()
    with torch.no_grad():
        ours.content.copy_(theirs.r_w_bias)
        ours.place.copy_(theirs.r_r_bias)
        # They have all sines before all cosines.
        by_head = theirs.r.permute(1, 2, 0).unflatten(-1, (2, -1)).transpose(-2, -1)
        ours.project.copy_(by_head.flatten(-2))
    places = torch.arange(LENGTH)[None].expand(2, -1)

    def heads(x):
        return [torch.einsum("bth,hnd->btnd", x, to) for to in (theirs.q, theirs.k, theirs.v)]

    def attention(x):
        q, k, v = heads(x)
        seen = {"keys": k, "values": v, "positions": places}
        return read(ours, q.transpose(1, 2), seen, places, None).transpose(1, 2)

    def expected(x):
        q, k, v = (part.transpose(0, 1) for part in heads(x))
        of_distances = torch.einsum("ibh,hnd->ibnd", sinusoids, theirs.r)
        return theirs.rel_attn_core(q, k, v, of_distances).transpose(0, 1)

    same(attention, expected, torch.randn(2, LENGTH, DIM), tolerance=1e-5)
