import copy

import pytest
import torch
from torch import nn

from danlu.layers.recompute import (
    Cost,
    Segment,
    measure,
    plan,
    recompute,
    revolve,
    uniform,
)


def chain(n: int = 3) -> nn.ModuleList:
    torch.manual_seed(0)
    return nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(n))


def run(blocks: nn.ModuleList, x: torch.Tensor) -> torch.Tensor:
    for block in blocks:
        x = block(x)
    return x


def test_a_deep_copy_recomputes_with_its_own_weights():
    blocks, x = chain(), torch.randn(2, 4)
    with recompute(blocks, uniform(3, 1)):
        twin = copy.deepcopy(blocks)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert run(twin, x).abs().max() == 0
    assert run(blocks, x).abs().max() > 0


def test_inside_a_segment_nothing_may_happen_between_blocks():
    blocks, x = chain(), torch.randn(2, 4)
    with recompute(blocks, uniform(3, 1)), pytest.raises(ValueError, match="segments of one block"):
        blocks[1](blocks[0](x) + 1)


def test_segments_must_cover_the_chain_once():
    blocks = chain()
    with pytest.raises(ValueError, match="cover 3 blocks"):
        recompute(blocks, [Segment(0, 2, True)])
    with recompute(blocks, uniform(3, 3)), pytest.raises(ValueError, match="already"):
        recompute(blocks, uniform(3, 3))
    recompute(blocks, uniform(3, 3)).remove()


def test_measured_bytes_are_those_of_the_saved_tensors():
    blocks, x = chain(), torch.randn(8, 4)
    costs = measure(blocks, lambda: run(blocks, x))
    # Tanh saves its output, which is the next block's input; the linear map saves its input.
    assert [(c.saved, c.boundary) for c in costs] == [(0, 8 * 4 * 4)] * 3
    assert [c.gradients for c in costs] == [(4 * 4 + 4) * 4] * 3


def test_a_block_that_runs_twice_cannot_be_measured():
    blocks, x = chain(), torch.randn(8, 4)
    with pytest.raises(ValueError, match="ran 2 times"):
        measure(blocks, lambda: run(blocks, run(blocks, x)))


def test_a_budget_below_the_least_says_so():
    costs = [Cost(saved=3 * 2**20, boundary=2**20)] * 4
    with pytest.raises(ValueError, match=r"need 7\.0 MiB at least, 2\.0 MiB are given"):
        plan(costs, 2.0 * 2**20)


def test_cuts_keep_segments_from_spanning_them():
    costs = [Cost(saved=10, boundary=1)] * 4
    segments = plan(costs, 30.0, cuts=[0, 1, 2, 3, 4])
    assert all(segment.stop - segment.start == 1 for segment in segments)


def test_revolve_needs_a_step_and_a_snapshot():
    with pytest.raises(ValueError, match="a step and a snapshot"):
        revolve(lambda state, index: state, [torch.zeros(1)], [], n=3, snapshots=0)
