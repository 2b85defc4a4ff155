"""Independent packages beside which danlu is measured, or a line that says how to get one.

Some packages ask for torchvision or for trackers that only other parts of them use. A module that
needs none of that is imported alone: its package without the package's own imports, and stand-ins
in place of what is absent.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from danlu.contracts import DanluError

StandIns = Mapping[str, Mapping[str, Any]]
"""Module name -> its attributes."""


def peer(name: str) -> Any:
    """A module of an installed package.

    Raises:
        DanluError: it is not installed.
    """
    if name in sys.modules:
        return sys.modules[name]
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise DanluError(
            f"This compares with {error.name}, which is not installed here: pip install "
            "'danlu[peers]', then pip install --no-deps -r peers-alone.txt."
        ) from error


def peer_alone(name: str, stand_ins: StandIns) -> Any:
    """A module of an installed package without the imports of its package.

    Args:
        name: of the module, `package.module`.
        stand_ins: modules that it imports and does not use here; gone again afterwards.

    Raises:
        DanluError: the package is not installed.
    """
    package = name.partition(".")[0]
    if {name, package} & sys.modules.keys():
        return peer(name)
    spec = find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        return peer(name)
    bare = ModuleType(package)
    bare.__path__ = list(spec.submodule_search_locations)
    modules = {package: bare}
    for absent, attributes in stand_ins.items():
        modules[absent] = ModuleType(absent)
        vars(modules[absent]).update(attributes)
    with _in_place(modules):
        return peer(name)


@contextmanager
def _in_place(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
