"""The one comparison of the laws sees what is no number, wherever it stands."""

import math
from itertools import product

import pytest
import torch

from danlu.laws.draws import drawing_for, generator, numbers, seed, seeded
from danlu.laws.gaps import deviation, excess, gap, largest, rarity, relative_gap, sigmas

NEVER = (math.nan, math.inf, -math.inf)


def nest(value=0.25):
    return {"a": [torch.full((2, 3), value), torch.tensor(value)], "b": (torch.full((4,), value),)}


def places():
    """Every number of every leaf of the nest."""
    leaves = [((("a", 0), index)) for index in product(range(2), range(3))]
    return [*leaves, (("a", 1), ()), *((("b", 0), (i,)) for i in range(4))]


def spoiled(tree, place, value):
    (key, leaf), index = place
    tree[key][leaf][index] = value
    return tree


COMPARISONS = {
    "gap": lambda a, b: gap(a, b),
    "relative_gap": lambda a, b: relative_gap(a, b),
    "excess": lambda a, b: excess(a, b),
    "deviation": lambda a, b: deviation(a, b, nest(1.0)),
    "deviation, spread": lambda a, b: deviation(nest(), nest(), a),
    "rarity": lambda a, b: rarity(a, 10, b),
}


@pytest.mark.parametrize("place", places(), ids=str)
@pytest.mark.parametrize("value", NEVER)
@pytest.mark.parametrize("compare", COMPARISONS.values(), ids=COMPARISONS)
def test_what_is_no_number_fails_wherever_it_stands(compare, value, place):
    assert math.isfinite(compare(nest(), nest()))
    assert compare(spoiled(nest(), place, value), nest()) == math.inf
    if compare is not COMPARISONS["deviation, spread"]:
        assert compare(nest(), spoiled(nest(), place, value)) == math.inf


@pytest.mark.parametrize("compare", [gap, relative_gap, excess], ids=lambda f: f.__name__)
def test_shapes_nests_and_nothing(compare):
    row, column = torch.zeros(1, 3), torch.zeros(3, 1)
    for found, expected in ((row, column), (row, row[0]), ([row], row), ([row], [row, row])):
        assert compare(found, expected) == math.inf
    for nothing in ([], {}, torch.zeros(0), [torch.zeros(0, 2), torch.zeros(0)]):
        assert compare(nothing, nothing) == math.inf
    assert compare([torch.zeros(0), row], [torch.zeros(0), row]) == 0.0
    assert compare([torch.zeros(0), row], [torch.zeros(1), row]) == math.inf


def test_equal_infinities_agree_where_differences_count_and_not_below_a_bound():
    infinite = torch.tensor([1.0, -math.inf, math.inf])
    assert gap(infinite, infinite) == 0.0
    assert gap(infinite, -infinite) == math.inf
    assert excess(infinite, infinite) == math.inf


def test_values():
    assert gap(torch.tensor([1.0, 2.0]), torch.tensor([1.5, 2.0])) == 0.5
    assert gap(torch.tensor([1, 2]), 1) == 1.0
    assert gap(torch.tensor([3 + 4j]), torch.tensor([0j])) == 5.0
    assert relative_gap(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 4.0])) == 0.25
    assert relative_gap(torch.tensor([1.0]), torch.tensor([0.0])) == math.inf
    assert excess(torch.tensor([1.0, 2.0]), torch.tensor([4.0, 4.0])) == -2.0
    assert deviation(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 2.0]), 0.5) == 2.0
    assert deviation(torch.tensor([2.0]), torch.tensor([2.0]), 0.0) == 0.0
    assert deviation(torch.tensor([2.1]), torch.tensor([2.0]), 0.0) == math.inf
    assert deviation(torch.tensor([2.0]), torch.tensor([2.0]), -1.0) == math.inf


def test_a_spread_of_another_shape_is_no_spread():
    assert deviation(torch.zeros(2, 1), torch.zeros(2, 1), torch.ones(1, 2)) == math.inf


def test_rare_counts():
    assert rarity(torch.tensor([500, 500]), 1000, torch.tensor([0.5, 0.5])) < 0.1
    # 4.74 standard errors off, by the normal law; exactly 4.77 there.
    assert rarity(torch.tensor([575, 425]), 1000, torch.tensor([0.5, 0.5])) == pytest.approx(
        4.75, abs=0.05
    )
    assert rarity(torch.tensor([0, 10]), 10, torch.tensor([0.0, 1.0])) == 0.0
    assert rarity(torch.tensor([1]), 10, torch.tensor([0.0])) == math.inf
    assert rarity(torch.tensor([1]), 10, torch.tensor([1.5])) == math.inf


def test_more_deviations_may_be_larger():
    assert sigmas() == pytest.approx(5.33, abs=0.01)
    assert sigmas(81) > sigmas()


@pytest.mark.parametrize("at", range(3))
def test_the_largest_error_remembers_what_is_no_number(at):
    errors = [1.0, 3.0, 2.0]
    assert largest(errors) == largest(*errors) == largest(1.0, iter([3.0, 2.0])) == 3.0
    for value in NEVER:
        errors[at] = value
        assert largest(errors) == largest(*errors) == math.inf
    assert largest() == largest([]) == math.inf


def drawn():
    with seeded(2):
        own = torch.randn(3)
    first = torch.randn(3, generator=generator())
    return [first, torch.randn(3), own, torch.tensor(numbers(1).normal(size=3))]


def test_draws_are_those_of_a_name_and_a_seed_and_of_nothing_else():
    before = torch.random.get_rng_state()
    found = []
    for name, number in (("a", 0), ("a", 0), ("a", 1), ("b", 0)):
        torch.manual_seed(number)  # whatever was drawn before
        with drawing_for(name, number):
            found.append(drawn())
    torch.random.set_rng_state(before)
    assert gap(found[0], found[1]) == 0.0
    for other in found[2:]:
        assert all(gap(mine, theirs) > 0 for mine, theirs in zip(found[0], other, strict=True))
    with drawing_for("a"):
        assert seed() != seed(1)
        assert not torch.equal(torch.rand(3, generator=generator()), torch.rand(3))
