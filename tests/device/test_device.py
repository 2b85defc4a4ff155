"""The library on another device: equal to the CPU in full precision, and it trains in bfloat16.

`make check-gpu` runs this on the device that DANLU_DEVICE names (cuda, cuda:1, mps, xpu, cpu).
"""

import copy
import math
import os
from dataclasses import replace

import pytest
import torch

from danlu.data import Examples, ExampleStream
from danlu.generative import FAMILIES
from danlu.generative.tiny import TINY
from danlu.laws.gaps import relative_gap
from danlu.laws.generative.subjects import CHEAP, cheap, class_ids, examples
from danlu.laws.mixers.sequences import context_for, gradients, made, tokens
from danlu.mixers import MIXERS
from danlu.mixers.softmax import Softmax
from danlu.positions import POSITIONS
from danlu.training import Budget, Plan, Policy, Trainer, TrainingRun

pytestmark = pytest.mark.long

DEVICE = os.environ.get("DANLU_DEVICE", "cpu")
CLOSE, ROUNDS, N = 2e-3, 3, 5
"""Relative difference in float32 over a whole layer or sampler, whose sums have another order."""


@pytest.fixture(autouse=True)
def full_precision():
    """Matrix products in whole float32, so that only the order of sums differs."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def test_the_device_is_here():
    assert torch.ones(2, device=DEVICE).sum().item() == 2.0


def on(mixer, device, length, axes=0):
    """Outputs and all gradients in float32 on a device."""
    mixer = copy.deepcopy(mixer).float().to(device)
    x, context = tokens(mixer, length).float().to(device), context_for(mixer)
    if context.memory is not None:
        keys, inner = context.memory
        context = replace(context, memory=(keys.float().to(device), inner))
    if axes:
        grid = torch.arange(length, device=device)
        context = replace(context, positions=grid[:, None].repeat(1, axes).expand(len(x), -1, -1))
    return [part.cpu() for part in gradients(mixer, x, lambda x: mixer(x, context)[0])]


@pytest.mark.parametrize("name", MIXERS)
def test_mixer(name):
    mixer = made(MIXERS[name].build)
    length = mixer.length or 70
    found, expected = (on(mixer, device, length) for device in (DEVICE, "cpu"))
    assert relative_gap(found[0], expected[0]) <= CLOSE
    assert relative_gap(found[1], expected[1]) <= 10 * CLOSE, "the gradient by the input"


@pytest.mark.parametrize("name", POSITIONS)
def test_position(name):
    position = POSITIONS[name].build()
    mixer = made(lambda: Softmax(8, heads=2, position=position, causal=not position.sees_future))
    axes = getattr(position, "axes", 0)
    assert relative_gap(*(on(mixer, device, 12, axes) for device in (DEVICE, "cpu"))) <= 10 * CLOSE


def trained(name, device):
    """A tiny model after two rounds in bfloat16, and what the trainer says."""
    torch.manual_seed(0)
    model = FAMILIES[name].build(TINY)
    batch = examples(TINY)
    data = Examples(batch.x.float(), batch.condition, TINY)
    stream = ExampleStream(data, TINY, batch=N, seed=0)
    run = TrainingRun(policy=Policy(device=device, autocast="bfloat16"))
    trainer = Trainer(model, stream, Plan(batch=N), Budget(steps=ROUNDS), run=run)
    return trainer.run(), model


@pytest.mark.parametrize("name", FAMILIES)
def test_family_trains_in_bfloat16_and_samples(name):
    outcome, model = trained(name, DEVICE)
    assert outcome.steps >= ROUNDS
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    model = model.eval()
    if "sample" not in model.can:
        return
    ids = class_ids(model)
    found = model.sample(N, condition=ids, seed=3, options=cheap(model)).cpu()
    assert found.shape == (N, *TINY.shape)
    assert math.isfinite(found.sum().item())


@pytest.mark.parametrize("name", FAMILIES)
def test_family_equals_the_cpu(name):
    torch.manual_seed(0)
    model = FAMILIES[name].build(TINY).eval()
    other = copy.deepcopy(model).to(DEVICE)
    ids, x = class_ids(model), examples(TINY).x.float()
    there = None if ids is None else ids.to(DEVICE)
    options = cheap(model)
    assert CHEAP
    if "sample" in model.can:
        here = model.sample(N, condition=ids, seed=3, options=options)
        found = other.sample(N, condition=there, seed=3, options=options)
        # A choice among ids may fall on the other side of a tie; it must be rare.
        differing = (found.cpu() - here).abs() > CLOSE * max(1.0, here.abs().max().item())
        assert differing.float().mean().item() <= 0.02
    if "log_prob" in model.can:
        here = model.log_prob(x, condition=ids, options=options).value
        found = other.log_prob(x.to(DEVICE), condition=there, options=options).value
        assert relative_gap(found.cpu(), here) <= CLOSE
