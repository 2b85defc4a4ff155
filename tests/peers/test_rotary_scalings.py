"""Scaled rotary frequencies and factors against those that transformers opens models with."""

import pytest
import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from danlu.positions.interpolation import InterpolatedRotary
from danlu.positions.llama3 import Llama3Rotary
from danlu.positions.ntk_dynamic import DynamicNTKRotary
from danlu.positions.yarn import Ramp, YaRN

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]

SHAPES = [
    # head, features that turn, base, length of training, factor
    (128, 128, 10_000.0, 4096, 16.0),
    (128, 128, 1_000_000.0, 32_768, 4.0),
    (64, 64, 500_000.0, 8192, 32.0),
    (80, 32, 10_000.0, 2048, 8.0),
    (96, 48, 10_000.0, 512, 2.0),
    (16, 16, 10_000.0, 64, 4.0),
]


def theirs(kind, shape, *, seq_len=None, **options):
    head, turning, base, length, factor = shape
    grown = length if kind == "dynamic" else int(length * factor)
    config = LlamaConfig(
        hidden_size=2 * head,
        num_attention_heads=2,
        head_dim=head,
        max_position_embeddings=grown,
        rope_parameters={
            "rope_type": kind,
            "rope_theta": base,
            "factor": factor,
            "partial_rotary_factor": turning / head,
            "original_max_position_embeddings": length,
            **options,
        },
    )
    return ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"), seq_len=seq_len)


def same(frequencies, magnitude, expected):
    torch.testing.assert_close(
        torch.tensor(frequencies, dtype=torch.float32), expected[0], rtol=2e-6, atol=0
    )
    assert magnitude == pytest.approx(expected[1], rel=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("ramp", "options"),
    [
        (Ramp(), {}),
        (Ramp(slow=2.0, fast=24.0), {"beta_slow": 2.0, "beta_fast": 24.0}),
        (Ramp(whole=False, magnitude=0.8), {"truncate": False, "attention_factor": 0.8}),
    ],
)
def test_yarn(shape, ramp, options):
    head, turning, base, length, factor = shape
    ours = YaRN(head, factor=factor, length=length, base=base, rotated=turning, ramp=ramp)
    same(ours.frequencies, ours.magnitude, theirs("yarn", shape, **options))


@pytest.mark.parametrize("shape", SHAPES)
def test_llama3(shape):
    head, turning, base, length, factor = shape
    ours = Llama3Rotary(head, factor=factor, length=length, base=base, rotated=turning)
    expected = theirs("llama3", shape, low_freq_factor=1.0, high_freq_factor=4.0)
    same(ours.frequencies, ours.magnitude, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_interpolation(shape):
    head, turning, base, _, factor = shape
    ours = InterpolatedRotary(head, factor=factor, base=base, rotated=turning)
    same(ours.frequencies, ours.magnitude, theirs("linear", shape))


@pytest.mark.parametrize("times", [0.5, 1, 1.5, 4, 9])
@pytest.mark.parametrize("shape", SHAPES)
def test_dynamic_ntk(shape, times):
    head, turning, base, length, factor = shape
    ours = DynamicNTKRotary(head, factor=factor, length=length, base=base, rotated=turning)
    reached = int(times * length)
    angles = ours.angles(torch.tensor([[1, reached - 1]]), torch.float64)[0, 0]
    expected = theirs("dynamic", shape, seq_len=reached)
    same(angles.tolist(), ours.magnitude, expected)
