"""Every law of the library, the same rows that `danlu check` prints."""

import math

import pytest

from danlu.experiments.checks import laws

LAWS = laws()


def test_there_are_laws_and_their_names_are_unique():
    names = [law.name for law in LAWS]
    assert names
    assert len(names) == len(set(names))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
@pytest.mark.usefixtures("float64")
def test_law(law):
    error = law.measure()
    if law.example is not None:
        assert error <= law.tolerance, f"{law.statement}: {law.example()}"
    assert math.isfinite(error), f"{law.statement}: the error is {error}"
    assert error <= law.tolerance, f"{law.statement}: {error:.3g} > {law.tolerance:.3g}"
