"""The walk of a reader: files that `danlu train vae digits` enters before its first step.

    python tests/house/walk.py            figures, and what each file was entered for
    python tests/house/walk.py gan digits another family, other data

Every call of a function of the library, in order, until the first optimiser steps. Loading modules
does not count, and neither do comprehensions and what dataclasses generate.
A switch is a call into another file than the call before it.
"""

import contextlib
import importlib
import io
import pkgutil
import sys
import tempfile
from collections import Counter
from itertools import groupby, pairwise
from pathlib import Path

import torch

import danlu

HOME = Path(danlu.__file__).parent


class ArrivedError(BaseException):
    """The first optimiser steps."""


def arrive(*given, **named):
    sys.setprofile(None)  # what is left behind is no part of the way
    raise ArrivedError


def walk(family, data):
    """File and function of every call."""
    from danlu.cli.main import main

    for found in pkgutil.walk_packages(danlu.__path__, "danlu."):
        if not found.name.startswith(("danlu.laws", "danlu.__main__")):
            importlib.import_module(found.name)
    calls = []

    def seen(frame, event, argument):
        code = frame.f_code
        if event == "call" and code.co_name[0] != "<" and code.co_filename.startswith(str(HOME)):
            calls.append((Path(code.co_filename).relative_to(HOME).as_posix(), code.co_name))

    usual = torch.optim.Optimizer.__init__

    def made(self, *given, **named):
        usual(self, *given, **named)
        self.step = arrive

    torch.optim.Optimizer.__init__ = made
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        sys.setprofile(seen)
        try:
            main(["train", family, data, "--steps", "1", "--json", "--out", f"{folder}/run"])
        except ArrivedError:
            pass
        finally:
            sys.setprofile(None)
            torch.optim.Optimizer.__init__ = usual
    assert calls, "nothing was entered"
    return calls


def figures(calls):
    """Files entered, and switches between them."""
    files = [file for file, _ in calls]
    return len(set(files)), sum(a != b for a, b in pairwise(files))


def main():
    family, data = sys.argv[1:3] if len(sys.argv) > 2 else ("vae", "digits")
    calls = walk(family, data)
    entered = Counter(file for file, _ in groupby(file for file, _ in calls))
    for file, times in entered.most_common():
        functions = list(dict.fromkeys(name for found, name in calls if found == file))
        print(f"{times:5} {file:42} {', '.join(functions)[:100]}")
    files, switches = figures(calls)
    print(f"{files} files entered, {switches} switches, {len(calls)} calls")


if __name__ == "__main__":
    main()
