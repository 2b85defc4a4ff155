"""Mixers and position encodings compile without a graph break and export, forward and step.

Run with `JAXTYPING_DISABLE=1`: the run-time check of annotations is no part of a graph.
"""

import pytest
import torch
from torch import nn

from danlu.contracts import detached
from danlu.laws.gaps import gap
from danlu.laws.mixers.sequences import context_for, gradients, made, tokens
from danlu.layers import kernels
from danlu.mixers import MIXERS
from danlu.mixers.softmax import Softmax
from danlu.positions import POSITIONS

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]

UNCOMPILED = dict.fromkeys(("rnn", "lstm", "gru"), "torch's fused networks break the graph")
"""Mixers that no graph can hold, and why."""
UNEXPORTED: dict[str, str] = {}
"""Mixers that cannot be exported, and why."""


def under_attention(position):
    def build():
        encoding = POSITIONS[position].build()
        return Softmax(8, heads=2, position=encoding, causal=not encoding.sees_future)

    return build


def axes(position):
    return getattr(POSITIONS[position].build(), "axes", 0)


BUILDS = {
    **{name: method.build for name, method in MIXERS.items()},
    **{f"softmax-{name}": under_attention(name) for name in POSITIONS if not axes(name)},
}


STEPPING = [name for name, build in BUILDS.items() if build().causal]


class Stepped(nn.Module):
    """`step` as a forward pass, which is what export takes."""

    def __init__(self, mixer):
        super().__init__()
        self.mixer = mixer

    def forward(self, x, state):
        return self.mixer.step(x, state)


def length_of(mixer):
    return mixer.length or 6


@pytest.mark.parametrize("name", [name for name in BUILDS if name not in UNCOMPILED])
def test_compiles_whole(name):
    mixer = made(BUILDS[name])
    x, context = tokens(mixer, length_of(mixer)), context_for(mixer)
    torch._dynamo.reset()
    compiled = torch.compile(mixer, backend="aot_eager", fullgraph=True)
    found = gradients(mixer, x, lambda x: compiled(x, context)[0])
    assert gap(found, gradients(mixer, x, lambda x: mixer(x, context)[0])) < 1e-9


@pytest.mark.parametrize("name", ["linear", "retention", "mamba2", "mamba"])
def test_compiles_whole_with_kernels(name):
    with kernels.compiled():
        test_compiles_whole(name)


@pytest.mark.parametrize("name", [name for name in BUILDS if name not in UNEXPORTED])
def test_exports_forward(name):
    mixer = made(BUILDS[name])
    x, context = tokens(mixer, length_of(mixer)), context_for(mixer)
    exported = torch.export.export(mixer, (x, context)).module()
    assert gap(exported(x, context)[0], mixer(x, context)[0]) < 1e-12


@pytest.mark.parametrize("name", [name for name in STEPPING if name not in UNEXPORTED])
def test_exports_step(name):
    mixer = made(BUILDS[name])
    state = detached(mixer(tokens(mixer, 3), context_for(mixer))[1])
    x = tokens(mixer, 1)[:, 0]
    exported = torch.export.export(Stepped(mixer), (x, state)).module()
    assert gap(exported(x, state), mixer.step(x, state)) < 1e-12
