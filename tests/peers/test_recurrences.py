"""Recurrent mixers against transformers, whose random weights our stacks take over."""

import pytest
import torch
from torch.nn.functional import layer_norm
from transformers import (
    Mamba2Config,
    Mamba2ForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    RwkvConfig,
    RwkvForCausalLM,
)
from transformers.models.qwen3_next.modeling_qwen3_next import torch_recurrent_gated_delta_rule

from danlu.backbones.converters import from_mamba, from_mamba2, from_rwkv4
from danlu.backbones.transformer import Transformer
from danlu.layers.norms import EPSILON, LayerNorm
from danlu.layers.scans import delta_scan
from danlu.mixers.mamba import Mamba
from danlu.mixers.mamba2 import Mamba2
from danlu.mixers.rwkv4 import RWKV4
from danlu.mixers.rwkv_channels import RWKVChannels

pytestmark = pytest.mark.long

IDS = torch.arange(2 * 37).reshape(2, 37) * 7 % 23


def scattered(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def same_logits(theirs, ours, rest):
    x = rest["backbone.embeddings.weight"][IDS].requires_grad_()
    y = ours(x)[0] @ rest["lm_head.weight"].T
    their_x = x.detach().clone().requires_grad_()
    expected = theirs(inputs_embeds=their_x, use_cache=False).logits
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)
    (slope,), (their_slope,) = (
        torch.autograd.grad(out.square().sum(), at) for out, at in ((y, x), (expected, their_x))
    )
    torch.testing.assert_close(slope, their_slope, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("groups", [1, 2])
def test_mamba2_gives_the_same_logits_and_gradients(groups):
    config = Mamba2Config(
        vocab_size=23,
        hidden_size=16,
        num_hidden_layers=2,
        state_size=6,
        head_dim=8,
        num_heads=4,
        n_groups=groups,
        chunk_size=8,
        layer_norm_epsilon=EPSILON,
        tie_word_embeddings=False,
    )
    theirs = scattered(Mamba2ForCausalLM(config))
    ours = Transformer(
        16, 2, [lambda dim, *_: Mamba2(dim, state_size=6, head_dim=8, groups=groups)]
    ).eval()
    stack, rest = from_mamba2(theirs.state_dict())
    ours.load_state_dict(stack)
    same_logits(theirs, ours, rest)


def test_mamba_gives_the_same_logits_and_gradients():
    config = MambaConfig(
        vocab_size=23,
        hidden_size=16,
        num_hidden_layers=2,
        state_size=6,
        layer_norm_epsilon=EPSILON,
        tie_word_embeddings=False,
    )
    theirs = scattered(MambaForCausalLM(config))
    ours = Transformer(16, 2, [lambda dim, *_: Mamba(dim, states=6)]).eval()
    stack, rest = from_mamba(theirs.state_dict())
    ours.load_state_dict(stack)
    same_logits(theirs, ours, rest)


def test_rwkv_gives_the_same_logits():
    config = RwkvConfig(
        vocab_size=23,
        hidden_size=16,
        num_hidden_layers=2,
        layer_norm_epsilon=EPSILON,
        rescale_every=0,
    )
    theirs = scattered(RwkvForCausalLM(config))
    ours = Transformer(
        16,
        2,
        [lambda dim, *_: RWKV4(dim), lambda dim, *_: RWKVChannels(dim)],
        norm=LayerNorm,
    ).eval()
    stack, rest = from_rwkv4(theirs.state_dict())
    ours.load_state_dict(stack)
    with torch.no_grad():
        first = [rest[f"rwkv.blocks.0.pre_ln.{name}"] for name in ("weight", "bias")]
        x = layer_norm(rest["rwkv.embeddings.weight"][IDS], (16,), *first, EPSILON)
        y = ours(x)[0] @ rest["head.weight"].T
        torch.testing.assert_close(y, theirs(IDS).logits, rtol=1e-4, atol=1e-4)


def test_the_delta_rule_is_that_of_qwen3_next():
    q, k, v = (torch.randn(2, 20, 3, 8) for _ in range(3))
    decay, strength = -torch.rand(2, 20, 3), torch.rand(2, 20, 3)
    expected, _ = torch_recurrent_gated_delta_rule(q, k, v, decay, strength, None, False)
    heads = [part.transpose(1, 2) for part in (q / 8**0.5, k, v, strength, decay)]
    found, _ = delta_scan(*heads)
    torch.testing.assert_close(found.transpose(1, 2), expected, rtol=1e-4, atol=1e-4)
