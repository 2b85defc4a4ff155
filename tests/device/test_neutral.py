"""Nothing is left behind on the CPU: on torch's meta device a mixture of devices is an error.

That device has shapes and no values, so what reads a value stops there; up to that line the mixture
of devices is looked for all the same. A real device is tried by `make check-gpu`.
"""

import pytest
import torch

from danlu.contracts import Progress, SequenceContext
from danlu.generative import FAMILIES
from danlu.generative.tiny import TINY
from danlu.laws.generative.subjects import plays
from danlu.mixers import MIXERS
from danlu.mixers.softmax import Softmax
from danlu.positions import POSITIONS

META = torch.device("meta")
LENGTH = 37
WITHOUT_VALUES = ("item() cannot be called", "unsupported scalarType", "Cannot copy out of meta")
"""What torch answers where a value is read."""


def tried(call):
    try:
        call()
    except (RuntimeError, NotImplementedError) as error:
        if not any(words in str(error) for words in WITHOUT_VALUES):
            raise


def passes(mixer, axes=0):
    mixer = mixer.to(META)
    length = mixer.length or LENGTH
    x = torch.randn(2, length, mixer.position.input_width(mixer.dim), device=META)
    keys = torch.randn(2, 5, getattr(mixer, "memory_dim", mixer.dim), device=META)
    positions = torch.zeros(2, length, axes, device=META) if axes else None
    reads = "memory" in mixer.honours
    memory = (keys, SequenceContext()) if reads else None
    y, _ = mixer(x.requires_grad_(), SequenceContext(memory=memory, positions=positions))
    assert y.device == META
    y.sum().backward()


def test_the_mixture_is_seen():
    with pytest.raises(RuntimeError, match="not on the expected device"):
        tried(lambda: torch.ones(2) + torch.ones(2, device=META))


@pytest.mark.parametrize("name", MIXERS)
def test_mixer(name):
    tried(lambda: passes(MIXERS[name].build()))


@pytest.mark.parametrize("name", POSITIONS)
def test_position(name):
    position = POSITIONS[name].build()
    mixer = Softmax(8, heads=2, position=position, causal=not position.sees_future)
    tried(lambda: passes(mixer, getattr(position, "axes", 0)))


@pytest.mark.parametrize("name", FAMILIES)
def test_loss_of_a_family(name):
    model = FAMILIES[name].build(TINY)
    played = [(player, batch) for player, batch in plays(model) if batch is not None]
    model = model.to(META)
    for player, batch in played:
        dtype = torch.float32 if batch.x.is_floating_point() else batch.x.dtype
        moved = batch.to(META, dtype)
        tried(lambda p=player, b=moved: model.loss(b, p, Progress(step=0, fraction=0.5, seed=1)))
