"""Train every generative family under one contract and see which one to use.

Rooms are imported by name (`from danlu.losses import ...`); the root offers the version and, on
first use, `load` (a run folder as a model) and `check` (the laws of the library, or of your own
model).
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {"load": "danlu.runs.folders", "check": "danlu.laws"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'danlu' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
