"""Every law of the library, the same rows that `danlu check` prints, measured in the same way."""

from typing import get_args

import pytest

from danlu.laws import laws, measured
from danlu.laws.law import ORACLES, Oracle

LAWS = laws()


def test_there_are_laws_and_their_names_are_unique():
    names = [law.name for law in LAWS]
    assert names
    assert len(names) == len(set(names))


def test_every_oracle_is_told_in_words():
    assert tuple(ORACLES) == get_args(Oracle)
    assert {law.oracle for law in LAWS} <= ORACLES.keys()


@pytest.mark.parametrize(
    "law",
    [pytest.param(law, marks=[pytest.mark.long] * law.slow, id=law.name) for law in LAWS],
)
def test_law(law):
    (checked,) = measured([law])
    assert checked.holds, f"{law.statement}: {checked.error:.3g}; {checked.example}"
