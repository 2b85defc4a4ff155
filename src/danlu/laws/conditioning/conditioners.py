"""Laws of every conditioner: what is told counts, what is left out does not, rows are their own."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from danlu.conditioning import CONDITIONERS, Conditioner, Joined, conditioner
from danlu.conditioning.classes import ClassEmbedding
from danlu.contracts import (
    Classes,
    Condition,
    Features,
    Image,
    Kind,
    SequenceContext,
    Tokens,
    Vector,
    name_of,
)
from danlu.laws.draws import generator, seeded
from danlu.laws.gaps import gap, largest, sigmas
from danlu.laws.law import Case, Law, Oracle, law_of_cases

CONTRACT: Oracle = "contract"
N, DIM = 4, 6
KINDS: tuple[Kind, ...] = (
    Classes(3),
    Vector(2),
    Tokens(5, 7),
    Image((1, 5, 6)),
    (Classes(3), Tokens(4, 5), Vector(1)),
)
"""One of each row of the table, and several at once."""


def made(kind: Kind | None) -> Conditioner:
    """The conditioner of a kind, all of whose weights count."""
    with seeded(3):
        found = conditioner(kind, DIM).double().eval()
        with torch.no_grad():
            for parameter in found.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, dtype=torch.float64))
    return found


def some(kind: Kind, stream: int = 0) -> Condition:
    """Conditions of a kind that differ from row to row."""
    if isinstance(kind, tuple):
        return Condition(tuple(some(one, stream + place) for place, one in enumerate(kind)))
    source = generator(stream)
    if isinstance(kind, Classes):
        return Condition((torch.arange(N) + stream) % kind.classes)
    if isinstance(kind, Tokens):
        ids = torch.randint(kind.vocabulary, (N, kind.length), generator=source)
        lengths = kind.length - (torch.arange(N) + stream) % 3
        return Condition(ids, torch.arange(kind.length) < lengths[:, None])
    shape = (kind.features,) if isinstance(kind, Vector) else kind.shape
    return Condition(torch.randn(N, *shape, generator=source, dtype=torch.float64))


def read(features: Features, row: int) -> list[Tensor]:
    """The vector of a row, and the valid ones of its tokens."""
    if features.tokens is None or features.valid is None:
        return [features.vector[row]]
    return [features.vector[row], features.tokens[row][features.valid[row]]]


def null() -> Iterator[Case]:
    """Rows that were left out against no condition at all, whatever they would have been."""
    for kind in KINDS:
        model, told = made(kind), some(kind)

        def error(model: Conditioner = model, told: Condition = told) -> float:
            part, none = model(told.only(torch.arange(N) % 2 == 0), N), model(None, N)
            left = [gap(read(part, row), read(none, row)) for row in (1, 3)]
            kept = [gap(read(part, row), read(model(told, N), row)) for row in (0, 2)]
            return largest([*left, *kept])

        yield name_of(kind), error


def counts() -> Iterator[Case]:
    """Kinds of which another condition, or none, gives the same vector."""
    for kind in KINDS:
        model = made(kind)

        def error(model: Conditioner = model, kind: Kind = kind) -> float:
            one, other, none = (model.vector(each, N) for each in (some(kind), some(kind, 1), None))
            apart = torch.stack([(one - other).abs().amax(1), (one - none).abs().amax(1)])
            return float((apart < 1e-6).sum())

        yield name_of(kind), error


def rows() -> Iterator[Case]:
    """The features of two rows alone, against those among others."""
    for kind in KINDS:
        model, told = made(kind), some(kind)

        def error(model: Conditioner = model, told: Condition = told) -> float:
            among, alone = model(told, N), model(told[1:3], 2)
            return largest(gap(read(alone, row), read(among, row + 1)) for row in range(2))

        yield name_of(kind), error


def padding() -> float:
    """Features of a text whose padding was changed, or cut off, against its own."""
    kind = Tokens(5, 7)
    model, told = made(kind), some(kind)
    assert isinstance(told.values, Tensor)
    assert told.valid is not None
    longest = int(told.valid.sum(1)[:1].item())
    other = Condition(torch.where(told.valid, told.values, 6), told.valid)
    short = Condition(told.values[:1, :longest])
    worst = largest(gap(read(model(other, N), row), read(model(told, N), row)) for row in range(N))
    return largest(worst, gap(read(model(short, 1), 0), read(model(told, N), 0)))


def silent() -> Iterator[Case]:
    """Vectors of a conditioner that is to say nothing at first."""
    for kind in KINDS:
        model = made(kind)
        model.silence()

        def error(model: Conditioner = model, kind: Kind = kind) -> float:
            return largest(gap(model.vector(each, N), 0.0) for each in (some(kind), None))

        yield name_of(kind), error


def table() -> float:
    """Rows of the table by class, the last one for no class and where there are no classes."""
    layer, blind = made(Classes(4)), made(None)
    assert isinstance(layer, ClassEmbedding)
    assert isinstance(blind, ClassEmbedding)
    rows, ids = layer.table.weight, torch.tensor([3, 0, 1])
    given = torch.tensor([True, False, True])
    found = [
        layer.vector(Condition(ids), 3),
        layer.vector(None, 2),
        layer.vector(Condition(ids, given=given), 3),
        blind.vector(Condition(ids), 3),
    ]
    return gap(found, [rows[ids], rows[[4, 4]], rows[[3, 4, 1]], blind.table.weight[[0, 0, 0]]])


def joined() -> float:
    """Several kinds at once: the sum of the vectors, and the tokens of the one that has some."""
    kind = (Classes(3), Tokens(4, 5), Vector(1))
    model, told = made(kind), some(kind)
    assert isinstance(told.values, tuple)
    assert isinstance(model, Joined)
    apart = [part(one, N) for part, one in zip(model.parts, told.values, strict=True)]
    whole = model(told, N)
    assert whole.tokens is not None
    assert apart[1].tokens is not None
    vector = torch.stack([each.vector for each in apart]).sum(0)
    return largest(gap(whole.vector, vector), gap(whole.tokens, apart[1].tokens))


def memory() -> float:
    """The memory of a context: what is said of each token, and which of them are valid."""
    model = made(Tokens(5, 7))
    found = model(some(Tokens(5, 7)), N)
    assert found.memory is not None
    assert found.tokens is not None
    tokens, context = found.memory
    assert isinstance(context, SequenceContext)
    assert found.valid is not None
    assert context.valid is not None
    wrong = float(made(Vector(2))(None, 2).memory is not None) + float(model.memory != DIM)
    return gap(tokens, found.tokens) + float((context.valid != found.valid).sum()) + wrong


def dropped() -> float:
    """Deviations by which the share of left out rows is off, and rows that come back."""
    many, model = Condition(torch.zeros(4000, dtype=torch.long)), made(Classes(3))
    before = torch.arange(4000) % 2 == 0
    with seeded():
        found = model.drop(many.only(before), 0.25)
    assert found is not None
    wrong = float((found.present & ~before).sum()) + float(model.drop(None, 0.5) is not None)
    for rate in (0.0, 1.0):
        part = model.drop(many, rate)
        assert part is not None
        wrong += float((part.present != (rate == 0.0)).sum())
    share = found.present[before].double().mean().item()
    return largest(wrong, abs(share - 0.75) / math.sqrt(0.75 * 0.25 / 2000))


def tree() -> float:
    """What indexing, moving and leaving out change of a condition's leaves, against its own."""
    told = some((Classes(3), Tokens(4, 5)))
    leaves = [leaf for leaf in pytree.tree_leaves(told) if isinstance(leaf, Tensor)]
    index = torch.tensor([2, 0])
    part = [leaf for leaf in pytree.tree_leaves(told[index]) if isinstance(leaf, Tensor)]
    return largest(gap(a.double(), b[index].double()) for a, b in zip(part, leaves, strict=True))


LAWS = [
    law_of_cases(
        "conditioning/null", "a row that is left out is no condition", 1e-12, null, CONTRACT
    ),
    law_of_cases(
        "conditioning/counts", "another condition is told in another way", 0.0, counts, CONTRACT
    ),
    law_of_cases("conditioning/rows", "a row does not depend on the others", 1e-12, rows, CONTRACT),
    law_of_cases("conditioning/silence", "a silenced vector is 0", 0.0, silent, CONTRACT),
    Law("conditioning/padding", "padding of a text says nothing", 1e-12, padding, oracle=CONTRACT),
    Law("conditioning/table", "a class is a row of the table", 0.0, table, oracle="definition"),
    Law("conditioning/joined", "vectors add up, tokens follow", 1e-12, joined, oracle="definition"),
    Law("conditioning/memory", "tokens are the memory of a context", 0.0, memory, oracle=CONTRACT),
    Law(
        "conditioning/drop", "rows are left out at the rate", sigmas(), dropped, oracle="statistics"
    ),
    Law("conditioning/tree", "a condition is indexed in all its parts", 0.0, tree, oracle=CONTRACT),
]
assert {name for kind in KINDS for name in name_of(kind).split(" and ")} == set(CONDITIONERS)
