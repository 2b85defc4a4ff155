"""What examples are told: batches of it, its kinds, and what is read as one."""

import pytest
import torch
from torch.utils import _pytree as pytree

from danlu.contracts import (
    Classes,
    Condition,
    DanluError,
    DataDescription,
    Image,
    Tokens,
    Vector,
    name_of,
    read_condition,
)
from danlu.training.earlier import renamed
from danlu.training.records import typed

KINDS = {
    "class": (Classes(3), 2, [0, 1, 2, 1]),
    "vector": (Vector(2), [1.0, 2.0], torch.rand(4, 2)),
    "tokens": (Tokens(5), "three", ["a", "bcd", "三", ""]),
    "image": (Image((1, 2, 2)), torch.ones(1, 2, 2), torch.rand(4, 1, 2, 2)),
}


@pytest.mark.parametrize("name", KINDS)
def test_one_serves_all_and_rows_are_their_own(name):
    kind, one, several = KINDS[name]
    alike, found = read_condition(kind, one, 4), read_condition(kind, several, 4)
    assert len(alike) == len(found) == 4
    assert torch.equal(alike.values[0], alike.values[3])
    again = read_condition(kind, found[torch.tensor([3, 1])], 2)
    assert torch.equal(again.values, found.values[[3, 1]])
    assert name_of(kind) == name


@pytest.mark.parametrize("name", KINDS)
def test_a_condition_is_a_tree_and_rows_may_be_left_out(name):
    kind, _, several = KINDS[name]
    found = read_condition(kind, several, 4)
    keep = torch.tensor([True, False, True, False])
    part = found.only(keep).only(keep.flip(0) | keep)[1:]
    assert part.present.tolist() == [False, True, False]
    leaves, shape = pytree.tree_flatten(part)
    assert torch.equal(pytree.tree_unflatten(leaves, shape).values, found.values[1:])
    wide = found.to(torch.device("cpu"), torch.float64)
    whole = name in ("class", "tokens")
    assert wide.values.dtype == (torch.int64 if whole else torch.float64)


def test_several_kinds_are_told_together():
    kind = (Classes(3), Tokens(4))
    found = read_condition(kind, (1, ["ab", "c"]), 2)
    ids, text = found[1:].values
    assert ids.values.tolist() == [1]
    assert text.values.tolist() == [[99, 0, 0, 0]]
    assert text.valid.tolist() == [[True, False, False, False]]
    assert name_of(kind) == "class and tokens"


@pytest.mark.parametrize(
    ("kind", "given", "line"),
    [
        (Classes(3), 3, "go from 0 to 2"),
        (Classes(3), 0.5, "whole numbers"),
        (Classes(3), torch.zeros(5, dtype=torch.long), "Expected 2 class ids"),
        (Vector(2), [1.0], "shape"),
        (Vector(2), [1.0, float("nan")], "finite"),
        (Vector(2), "three", "vectors"),
        (Tokens(2), torch.zeros(2, 3, dtype=torch.long), "At most 2"),
        (Tokens(2), ["a", "b", "c"], "2 examples"),
        (Tokens(2, 7), "a", "none: give ids"),
        (Image((1, 2, 2)), torch.zeros(2, 1, 3, 2), "shape"),
        ((Classes(3), Vector(1)), 1, "tuple of 2"),
        (Classes(3), Condition(torch.zeros(5, dtype=torch.long)), "of 2 examples"),
        (Classes(3), Condition((Condition(torch.zeros(2, dtype=torch.long)),)), "kind class"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(kind, given, line):
    with pytest.raises(DanluError, match=line) as caught:
        read_condition(kind, given, 2)
    assert "\n" not in str(caught.value)


def test_descriptions_of_earlier_versions_are_read():
    old = {"shape": [2], "levels": None, "low": 0.0, "high": 1.0, "classes": 3, "alphabet": None}
    (found,) = typed(renamed([old]), list[DataDescription], "here")
    assert found.condition == Classes(3)
    assert found.classes == 3
    blind = typed(renamed({**old, "classes": 0}), DataDescription, "here")
    assert blind.condition is None
    assert blind.classes == 0
    nested = renamed({"runs": [{"description": old}]})
    assert nested["runs"][0]["description"]["condition"] == {"classes": 3}


@pytest.mark.parametrize("kind", [*(row[0] for row in KINDS.values()), (Classes(3), Tokens(4))])
def test_every_kind_is_written_and_read_back(kind):
    from dataclasses import asdict

    description = DataDescription(shape=(2,), levels=None, low=0.0, high=1.0, condition=kind)
    assert typed(asdict(description), DataDescription, "here") == description
