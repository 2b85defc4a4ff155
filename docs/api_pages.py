"""Write `docs/api`: every name that a room offers, with its signature and its docstring.

Run by `make docs`; the pages are made from the code at every build and kept nowhere.
"""

import importlib
import inspect
import re
import shutil
from pathlib import Path

HOME = Path(__file__).parent / "api"
ROOMS = {
    "danlu": "the root",
    "danlu.contracts": "types that every room shares",
    "danlu.data": "sources, splits and streams",
    "danlu.layers": "layers that networks and mixers are made of",
    "danlu.positions": "position encodings",
    "danlu.mixers": "token mixers",
    "danlu.losses": "losses",
    "danlu.solvers": "steppers of differential equations",
    "danlu.optim": "optimisers and schedules",
    "danlu.backbones.transformer": "stacks of mixers",
    "danlu.backbones.unet": "networks for images",
    "danlu.generative.base": "the contract of a generative model",
    "danlu.generative.chain": "layers that end in a prior",
    "danlu.training": "the loop and what surrounds it",
    "danlu.evaluation.metrics.metric": "the contract of a metric",
    "danlu.laws.law": "the contract of a law",
    "danlu.laws": "measuring laws",
}
SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Yields")


def offered(module):
    """The public names of a room: what it says it offers, else what it defines."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [*getattr(module, "_HOMES", ())] or [
            name
            for name, value in vars(module).items()
            if name[0] != "_" and getattr(value, "__module__", "") == module.__name__
        ]
    return sorted(names, key=str.lower)


def signature(name, value):
    """How it is called, with the types as they are written."""
    try:
        text = f"{name}{inspect.signature(value)}"
    except (TypeError, ValueError):
        return name
    text = re.sub(r"<function <lambda> at 0x\w+>", "lambda", text)
    text = re.sub(r" at 0x\w+", "", text)
    return re.sub(r"\b(collections\.abc|torch|jaxtyping|typing|pathlib)\.(?=[A-Z])", "", text)


def text_of(value):
    """The docstring with its sections as lists."""
    lines = []
    for line in (inspect.getdoc(value) or "").splitlines():
        if line.rstrip(":") in SECTIONS and line.endswith(":"):
            lines += ["", f"**{line.rstrip(':')}**", ""]
        elif found := re.match(r"    (\*{0,2}[\w, .]+): (.*)", line):
            lines.append(f"- `{found[1]}`: {found[2]}")
        else:
            lines.append(line)
    return "\n".join(lines)


def methods(kind):
    """Public functions that a class defines itself and says something of."""
    for name, value in vars(kind).items():
        plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if name[0] != "_" and inspect.isfunction(plain) and plain.__doc__:
            yield name, plain


def entry(name, value):
    """One name of a room."""
    if isinstance(value, dict):
        rows = ", ".join(f"`{key}`" for key in value)
        return f"## {name}\n\nA table: {rows}.\n"
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return f"## {name}\n\nA value of type `{type(value).__name__}`.\n"
    parts = [f"## {name}", f"```text\n{signature(name, value)}\n```", text_of(value)]
    if inspect.isclass(value):
        for method, function in methods(value):
            parts.append(f"### {name}.{method}")
            parts.append(f"```text\n{signature(method, function)}\n```")
            parts.append(text_of(function))
    return "\n\n".join(part for part in parts if part) + "\n"


def page(room, about):
    """A room's page."""
    module = importlib.import_module(room)
    found = [entry(name, getattr(module, name)) for name in offered(module)]
    return "\n".join([f"# {room}\n\n{about[0].upper()}{about[1:]}.\n", *found])


def main():
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    for room, about in ROOMS.items():
        (HOME / f"{room}.md").write_text(page(room, about), encoding="utf-8")
    rows = "\n".join(f"- [{room}]({room}.md): {about}" for room, about in ROOMS.items())
    tree = "```{toctree}\n:hidden:\n\n" + "\n".join(ROOMS) + "\n```\n"
    (HOME / "index.md").write_text(
        f"# API\n\nGenerated from the docstrings of this version.\n\n{rows}\n\n{tree}",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
