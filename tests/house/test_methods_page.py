"""The generated pages agree with the code, and no law is left out of them."""

from pathlib import Path

import pytest

from danlu.catalogue.methods_page import pages
from danlu.catalogue.rooms import ROOMS
from danlu.laws import laws

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generated():
    return pages()


def test_pages_are_up_to_date(generated):
    stale = [
        path
        for path, text in generated.items()
        if not (DOCS / path).exists() or (DOCS / path).read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run `make methods` and commit what it writes"


def test_no_page_is_left_of_a_table_that_went(generated):
    found = {f"methods/{path.name}" for path in (DOCS / "methods").glob("*.md")}
    assert found == set(generated)


def test_every_law_checks_a_room():
    claimed = {prefix for room in ROOMS for prefix in room.laws}
    assert {law.name.partition("/")[0] for law in laws()} == claimed


def test_every_room_is_checked_by_a_law():
    prefixes = {law.name.partition("/")[0] for law in laws()}
    assert [room.title for room in ROOMS if prefixes.isdisjoint(room.laws)] == []
