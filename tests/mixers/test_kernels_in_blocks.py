"""Kernels of long sequences: how much memory a pass holds, and that blocks change nothing."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from danlu.mixers import channel_systems
from danlu.mixers.s4 import S4
from danlu.mixers.s4d import S4D

LENGTH, WIDTH = 4096, 8


def slopes(layer, x):
    y, _ = layer(x, form="fft")
    return [y, *torch.autograd.grad(y.square().sum(), list(layer.parameters()))]


def most_bytes(run):
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = torch.tensor([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())])
    return int(held.cumsum(0).max())


@pytest.mark.filterwarnings("ignore:Warning. Profiler clears events")
@pytest.mark.parametrize(("mixer", "most"), [(S4, 32), (S4D, 16)])
def test_a_long_kernel_needs_no_table_of_all_tokens_and_states(mixer, most):
    layer, x = mixer(WIDTH), torch.randn(1, LENGTH, WIDTH)
    assert most_bytes(lambda: slopes(layer, x)) < most * 2**20


@pytest.mark.parametrize("mixer", [S4, S4D])
def test_blocks_change_no_digit_of_the_output(mixer, monkeypatch):
    layer, x = mixer(2, states=8).double(), torch.randn(1, 1000, 2, dtype=torch.float64)
    in_blocks = slopes(layer, x)
    monkeypatch.setattr(channel_systems, "BLOCK", 1000)
    at_once = slopes(layer, x)
    assert torch.equal(in_blocks[0], at_once[0])
    torch.testing.assert_close(in_blocks, at_once, rtol=1e-10, atol=1e-12)
