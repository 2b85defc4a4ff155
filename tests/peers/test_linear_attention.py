"""Attention in less than quadratic time against independent packages, with copied weights."""

import pytest
import torch
from linformer import LinformerSelfAttention
from transformers import ReformerConfig
from transformers.models.reformer.modeling_reformer import LSHSelfAttention

from danlu.mixers.linformer import Linformer
from danlu.mixers.performer import Performer
from danlu.mixers.reformer import Reformer
from danlu.mixers.softmax import split_heads

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]


def gradients(y, x):
    return torch.autograd.grad((y * torch.arange(y.numel()).reshape(y.shape).cos()).sum(), x)[0]


def test_linformer():
    theirs = LinformerSelfAttention(8, 6, k=3, heads=2)
    ours = Linformer(8, length=6, keys=3, heads=2)
    with torch.no_grad():
        ours.query.weight.copy_(theirs.to_q.weight)
        ours.key.weight.copy_(theirs.to_k.weight)
        ours.value.weight.copy_(theirs.to_v.weight)
        ours.output.weight.copy_(theirs.to_out.weight)
        theirs.to_out.bias.zero_()
        ours.mix_keys.copy_(theirs.proj_k.T)
        ours.mix_values.copy_(theirs.proj_v.T)
    x = torch.randn(2, 6, 8, requires_grad=True)
    found, expected = ours(x)[0], theirs(x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(found, x), gradients(expected, x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the import
def test_performer():
    """Without their small constant; ours drops what cancels in the quotient."""
    from performer_pytorch.performer_pytorch import linear_attention, softmax_kernel

    mixer = Performer(8, heads=2, features=12, causal=False)
    x = torch.randn(2, 7, 8, requires_grad=True)
    q, k, v = (split_heads(to(x), 2) for to in (mixer.query, mixer.key, mixer.value))
    projection = mixer.projection
    features = [
        softmax_kernel(part, projection_matrix=projection, is_query=is_query, eps=0.0)
        for part, is_query in ((q, True), (k, False))
    ]
    expected = mixer.output(linear_attention(*features, v).transpose(1, 2).flatten(2))
    found = mixer(x)[0]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients(found, x), gradients(expected, x))


@pytest.mark.parametrize("causal", [True, False])
def test_reformer_in_one_chunk(causal):
    config = ReformerConfig(
        hidden_size=8,
        num_attention_heads=2,
        attention_head_size=4,
        lsh_attn_chunk_length=8,
        num_buckets=4,
        num_hashes=1,
        is_decoder=causal,
        attn_layers=["lsh"],
        lsh_attention_probs_dropout_prob=0.0,
    )
    theirs = LSHSelfAttention(config).eval()
    ours = Reformer(8, heads=2, chunk=8, buckets=4, rounds=2, causal=causal)
    with torch.no_grad():
        ours.query.weight.copy_(theirs.query_key.weight)
        ours.value.weight.copy_(theirs.value.weight)
        ours.output.weight.copy_(torch.eye(8))
    x = torch.randn(2, 7, 8, requires_grad=True)
    found, expected = ours(x)[0], theirs(x).hidden_states
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradients(found, x), gradients(expected, x), rtol=1e-5, atol=1e-5)
