"""Every draw of a law is one of its own seed, so that other seeds are other draws."""

import ast
from collections.abc import Iterator
from pathlib import Path

from danlu import laws

ROOT = Path(laws.__file__).parent
SEEDED = {"manual_seed", "default_rng", "ItemNoise", "revive", "part_of_batch"}
"""Functions whose numbers are seeds, and classmethods `NAME.seeded` beside them."""
STREAMS = {"tokens", "Progress"}
"""Whose `seed` chooses one of the law's streams, or is the play that a loss is told of."""


def literal_seeds(text: str) -> Iterator[int]:
    """The lines of calls that are seeded by a number that stands in the text."""
    for call in ast.walk(ast.parse(text)):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        owned = isinstance(call.func, ast.Attribute) and name == "seeded"
        given = call.args[:1] if name in SEEDED or owned else []
        if name not in STREAMS:
            given += [keyword.value for keyword in call.keywords if keyword.arg in ("seed", "of")]
        if any(isinstance(part, ast.Constant) and type(part.value) is int for part in given):
            yield call.lineno


def test_no_law_draws_by_a_number_that_stands_in_it() -> None:
    found = {file.stem: [*literal_seeds(file.read_text())] for file in ROOT.rglob("*.py")}
    assert len(found) > 100
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_literal_seeds_are_seen() -> None:
    text = """
torch.manual_seed(3)
Network.seeded(1, shape)
options(seed=4)
item_noise(5, of=3)
torch.manual_seed(seed(3))
with seeded(3): tokens(mixer, 2, seed=1)
Progress(step=0, fraction=0.0, seed=0)
"""
    assert sorted(literal_seeds(text)) == [2, 3, 4, 5]
