"""One row of a room's table: the only registry of the library."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Method:
    """A public name's target with its sources and a tiny instance.

    Attributes:
        target: the class or function the row stands for; its module docstring is its page.
        sources: arXiv ids, book or article references.
        build: called without arguments it gives the tiny instance that laws, `check` and `bench`
            use. In `FAMILIES` it also takes `(description, **settings)` and builds for real data.
        about: the row in one line, where the docstring of its target does not tell it from others.
    """

    target: Any
    sources: tuple[str, ...]
    build: Callable[..., Any]
    about: str = ""
