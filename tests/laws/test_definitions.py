"""Every method of a room stands beside the formula of its source, written apart."""

import pytest

from danlu.experiments.checks import LAWS
from danlu.mixers import MIXERS
from danlu.positions import POSITIONS

TABLES = {"mixers": MIXERS, "positions": POSITIONS}
DEFINED = {law.name for law in LAWS if law.oracle == "definition"}


@pytest.mark.parametrize("room", TABLES)
def test_every_row_has_its_definition(room):
    missing = {name for name in TABLES[room] if f"{room}/{name}/definition" not in DEFINED}
    assert not missing
