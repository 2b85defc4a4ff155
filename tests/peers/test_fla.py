"""Scans against the naive forms of flash-linear-attention, with gradients and states.

Their package wants Triton when it is imported; the naive forms want torch alone, so each file is
taken by itself.
"""

import importlib.util
import math
from importlib.metadata import distribution
from pathlib import Path

import pytest
import torch

from danlu.layers.scans import delta_scan, scalar_scan, vector_scan

pytestmark = [pytest.mark.long]

HEADS, KEYS, VALUES = 3, 8, 5
LENGTHS = (1, 31, 64, 65, 130)
CLOSE = 2e-4
"""Theirs count in float32, whatever they are given."""


def naive(room, name):
    path = Path(str(distribution("fla-core").locate_file(f"fla/ops/{room}/naive.py")))
    spec = importlib.util.spec_from_file_location(f"fla_naive_{room}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def drawn(length):
    """q, k, v, a number and a vector of log-decays, strengths and a state."""
    generator = torch.Generator().manual_seed(length)
    shapes = [(KEYS,), (KEYS,), (VALUES,), (), (KEYS,), ()]
    q, k, v, one, each, strength = (
        torch.randn(2, length, HEADS, *shape, generator=generator) for shape in shapes
    )
    k = k / k.norm(dim=-1, keepdim=True)
    state = torch.randn(2, HEADS, KEYS, VALUES, generator=generator)
    return q, k, v, -one.exp(), -each.exp(), strength.sigmoid(), state


def same(ours, theirs, inputs):
    ends = []
    for run in (ours, theirs):
        given = [each.clone().requires_grad_() for each in inputs]
        y, state = run(*given)
        total = y.sin().sum() + state.sin().sum()
        ends.append([y, state, *torch.autograd.grad(total, given)])
    for mine, peer in zip(*ends, strict=True):
        assert peer.isfinite().all()
        torch.testing.assert_close(mine, peer, rtol=CLOSE, atol=CLOSE)


def by_head(*parts):
    return [part.transpose(1, 2) for part in parts]


def scaled(q):
    return q / math.sqrt(KEYS)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_decay_of_each_head(length):
    q, k, v, one, _, _, state = drawn(length)
    peer = naive("simple_gla", "naive_recurrent_simple_gla")

    def ours(q, k, v, log_decay, state):
        y, last = scalar_scan(*by_head(scaled(q), k, v, log_decay), state)
        return y.transpose(1, 2), last

    def theirs(q, k, v, log_decay, state):
        return peer(q, k, v, log_decay, initial_state=state)

    same(ours, theirs, (q, k, v, one, state))


@pytest.mark.parametrize("length", LENGTHS)
def test_a_decay_of_each_key(length):
    q, k, v, _, each, _, state = drawn(length)
    peer = naive("gla", "naive_recurrent_gla")

    def ours(q, k, v, log_decay, state):
        y, last = vector_scan(*by_head(scaled(q), k, v, log_decay), state)
        return y.transpose(1, 2), last

    def theirs(q, k, v, log_decay, state):
        return peer(q, k, v, log_decay, initial_state=state, output_final_state=True)

    same(ours, theirs, (q, k, v, each, state))


@pytest.mark.parametrize("length", LENGTHS)
def test_the_gated_delta_rule(length):
    q, k, v, one, _, strength, state = drawn(length)
    peer = naive("gated_delta_rule", "naive_recurrent_gated_delta_rule")

    def ours(q, k, v, strength, log_decay, state):
        y, last = delta_scan(*by_head(scaled(q), k, v, strength, log_decay), state)
        return y.transpose(1, 2), last

    def theirs(q, k, v, strength, log_decay, state):
        facts = {"initial_state": state, "output_final_state": True}
        return peer(q, k, v, strength, log_decay, **facts)

    same(ours, theirs, (q, k, v, strength, one, state))


@pytest.mark.parametrize("length", LENGTHS)
def test_retention(length):
    q, k, v, *_ = drawn(length)
    peer = naive("retention", "naive_retention")
    log_decay = torch.log1p(-(2.0 ** (-5 - torch.arange(HEADS))))
    each = log_decay.expand(2, length, HEADS)
    y, _ = scalar_scan(*by_head(scaled(q), k, v, each))
    expected = peer(*by_head(q, k, v))
    torch.testing.assert_close(y, expected, rtol=CLOSE, atol=CLOSE)
