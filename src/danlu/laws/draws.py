"""Random draws of a law: each from a generator of its own, seeded by the law's name."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from zlib import crc32

import numpy
import torch

_SEED: ContextVar[int] = ContextVar("the seed of the law that is being measured", default=0)


@contextmanager
def drawing_for(name: str, seed: int = 0) -> Iterator[None]:
    """Everything random inside is a function of the law's name and of `seed`, and of nothing else.

    Torch's and numpy's global generators are set inside and given back afterwards.
    """
    chosen = crc32(f"{name}/{seed}".encode())
    before = numpy.random.get_state()
    token = _SEED.set(chosen)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(chosen)
        numpy.random.seed(chosen)
        try:
            yield
        finally:
            numpy.random.set_state(before)
            _SEED.reset(token)


def seed(stream: int = 0) -> int:
    """A seed of the law being measured, for what takes a number; another `stream`, another one."""
    return crc32(f"{_SEED.get()}/{stream}".encode()) >> 1


def generator(stream: int = 0) -> torch.Generator:
    """A fresh generator of the law being measured; another `stream` draws other numbers."""
    return torch.Generator().manual_seed(seed(stream))


def numbers(stream: int = 0) -> numpy.random.Generator:
    """The same of numpy."""
    return numpy.random.default_rng(seed(stream))


@contextmanager
def seeded(stream: int = 0) -> Iterator[None]:
    """Torch's global generator is that of a stream inside, and given back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed(stream))
        yield


def standard_normal(*shape: int, stream: int = 0) -> torch.Tensor:
    """Standard normal numbers in float64, of a stream."""
    return torch.randn(*shape, generator=generator(stream), dtype=torch.float64)
