"""What the laws of recurrences do not cover: refusals, half precision, and empty chunks."""

import pytest
import torch

from danlu.contracts import DanluError
from danlu.layers.scans import Run, scalar_scan
from danlu.mixers.linear import LinearAttention
from danlu.mixers.mamba2 import Mamba2
from danlu.positions import POSITIONS


@pytest.mark.parametrize("position", ["shaw", "t5", "transformer-xl"])
def test_what_needs_scores_is_refused_with_the_reason(position):
    with pytest.raises(DanluError, match="no matrix of scores"):
        LinearAttention(8, heads=2, position=POSITIONS[position].build())


def test_impossible_sizes_are_refused():
    with pytest.raises(DanluError, match="do not divide"):
        Mamba2(8, head_dim=5)


def test_bfloat16_keeps_its_state_wide():
    q, k, v = (torch.randn(1, 2, 40, 4).bfloat16() for _ in range(3))
    y, state = scalar_scan(q, k, v, run=Run(chunk=8))
    wide, _ = scalar_scan(q.float(), k.float(), v.float(), run=Run(chunk=8))
    assert y.dtype is torch.bfloat16
    assert state.dtype is torch.float32
    torch.testing.assert_close(y.float(), wide, rtol=0.05, atol=0.2)


@pytest.mark.parametrize("length", [512, 8 * 64 + 1, 1024, 1100])
def test_long_sequences_go_segment_by_segment(length):
    q, k, v = (torch.randn(1, 1, length, 4, dtype=torch.float64) for _ in range(3))
    log_decay = -torch.rand(1, 1, length, dtype=torch.float64)
    y, state = scalar_scan(q, k, v, log_decay)
    expected, last = scalar_scan(q, k, v, log_decay, run=Run(form="parallel"))
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(state, last)
