"""Families of one's own on the command line: `package.module:Class`.

Only what a user types is imported, never what a file names.
"""

import importlib
import sys
from pathlib import Path
from typing import Any


def is_foreign(name: str) -> bool:
    """Whether a name is of the form `package.module:Class`."""
    return ":" in name


def classes_for(name: str | None) -> dict[str, Any] | None:
    """A foreign family by the name it trains under; None for danlu's own.

    Raises:
        DanluError: the module or the class is not there.
    """
    if name is None or not is_foreign(name):
        return None
    from danlu.contracts import DanluError, Method, told_of, unknown

    module_name, _, attribute = name.partition(":")
    if not (module_name and attribute):
        raise DanluError(f"A family of your own is package.module:Class, got {name!r}.")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    with told_of(module_name):
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise DanluError(f"Cannot import {module_name}: {error}.") from error
    if not hasattr(module, attribute):
        public = [each for each in vars(module) if not each.startswith("_")]
        raise unknown(f"class of {module_name}", attribute, public)
    found = getattr(module, attribute)
    if not (callable(found) or isinstance(found, Method)):
        raise DanluError(f"{name} is no class of models, but a {type(found).__name__}.")
    return {name: found}
