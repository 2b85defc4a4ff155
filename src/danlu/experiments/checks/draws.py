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


def generator(stream: int = 0) -> torch.Generator:
    """A fresh generator of the law being measured; another `stream` draws other numbers."""
    return torch.Generator().manual_seed(crc32(f"{_SEED.get()}/{stream}".encode()))
