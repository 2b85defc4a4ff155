"""Every mixer and position encoding under autocast on 2,048 tokens, forward and backward."""

from functools import partial

import pytest

from danlu.laws.draws import drawing_for
from danlu.laws.mixers.precision import FINITE, in_types, under_attention
from danlu.mixers import MIXERS
from danlu.mixers.linformer import Linformer
from danlu.positions import POSITIONS
from danlu.positions.hierarchical import Hierarchical
from danlu.positions.learned import Learned
from danlu.positions.multiplicative import Multiplicative
from danlu.positions.recursive import Recursive

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]

TOKENS = 2048
LONG_TABLES = {
    "learned": partial(Learned, 8, TOKENS),
    "multiplicative": partial(Multiplicative, 8, TOKENS),
    "hierarchical": partial(Hierarchical, 8, 46),
    "floater": partial(Recursive, 8, TOKENS),
}
BUILDS = {
    **{name: method.build for name, method in MIXERS.items()},
    **{
        f"softmax-{name}": partial(under_attention, name, LONG_TABLES.get(name))
        for name in POSITIONS
    },
    "linformer": partial(Linformer, 8, length=TOKENS, keys=3, heads=2),
}
LOOSER = 3.0
"""Many more roundings are added up than in the law, whose bounds are for a few tokens."""


def test_every_table_that_ends_has_a_long_one():
    assert set(LONG_TABLES) == set(FINITE)


@pytest.mark.parametrize("name", BUILDS)
def test_autocast_is_float64_within_the_bound(name):
    with drawing_for(name):
        cases = list(in_types(BUILDS[name], length=TOKENS, forms=1, kinds=("autocast",)))
        assert cases
        for case, error in cases:
            assert error() <= LOOSER, case
