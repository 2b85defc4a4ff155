"""The sweep of `danlu.laws.mixers.scan_sweep` at every length, and with kernels."""

import pytest

from danlu.laws.draws import drawing_for
from danlu.laws.mixers.scan_sweep import FORMS, LENGTHS, SCANS, sweep
from danlu.layers import kernels

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]

SERVED = ("scalar", "sums", "normalised", "selective")
LONG = tuple(length for length in LENGTHS if length > 130)
PARTS = {"1 to 64": LENGTHS[:64], "65 to 130": LENGTHS[64:130], "longer": LONG}


def failing(name, lengths, forms):
    with drawing_for(name):
        return [(case, error) for case, run in sweep(name, lengths, forms=forms)
                if not (error := run()) <= 1]  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", SCANS)
def test_every_length_decay_type_and_form(name, part):
    assert failing(name, PARTS[part], FORMS) == []


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", SERVED)
def test_every_length_decay_and_type_with_kernels(name, part):
    with kernels.compiled():
        assert failing(name, PARTS[part], ("chunked",)) == []
