"""What the definitions of position encodings share: each hook beside its formula.

A formula gets the weights by name, what the hook acts on, and positions; it cannot call a part of
the encoding. Results and the gradients by every tensor that goes in are compared.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from danlu.contracts import SequenceContext
from danlu.laws.draws import generator
from danlu.laws.gaps import gap
from danlu.laws.law import Case, Law, law_of_cases
from danlu.laws.mixers.definitions import moved, numbers, scaled_gap, slopes, weights_of
from danlu.positions import POSITIONS
from danlu.positions.base import HOOKS, PositionEncoding

DIM, HEADS, SIZE, QUERIES, KEYS = 8, 2, 4, 6, 7
Formula = Callable[..., Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """An encoding and the formulas of its hooks.

    Attributes:
        build: the encoding, for a width of 8 or two heads of `size`.
        words: what is special about it.
        formulas: by hook; those of `rotate` and `carry` are of one tensor of heads.
        scale: the factor on scores of heads of `size`.
        axes: coordinates of a position; 0 is the plain index.
        size: of a head.
        reach: positions lie below it.
    """

    build: Callable[[], PositionEncoding]
    formulas: dict[str, Formula]
    words: str = "as in the table"
    scale: float | None = None
    axes: int = 0
    size: int = SIZE
    reach: int = 30
    heads: int = HEADS


def places_law(name: str, rows: list[Places], *, tolerance: float = 1e-9) -> Law:
    """The law of an encoding: each hook is its formula, gradients included."""
    said = "its hooks and their gradients are those of its source's formula, written apart"
    cases = partial(_cases, rows)
    return law_of_cases(f"positions/{name}/definition", said, tolerance, cases, "definition")


def alone(name: str, hook: str, formula: Formula, *, reach: int = 30) -> Law:
    """The law of an encoding as it stands in its table, with one hook."""
    row = Places(build=POSITIONS[name].build, formulas={hook: formula}, reach=reach)
    return places_law(name, [row])


def _cases(rows: list[Places]) -> Iterable[Case]:
    for row in rows:
        position = moved(row.build().double())
        yield f"{row.words}: hooks", partial(_hooks, row, position)
        for hook, formula in row.formulas.items():
            if hook != "score_scale":
                yield f"{row.words}: {hook}", partial(_compared, row, position, hook, formula)


def _hooks(row: Places, position: PositionEncoding) -> float:
    """Hooks without a formula or with one too many, and the factor on scores."""
    scale = row.size**-0.5 if row.scale is None else row.scale
    named = position.hooks - {"score_scale"}
    return len(named ^ set(row.formulas)) + gap(position.score_scale(row.size), scale)


def _positions(row: Places, count: int, stream: int) -> Tensor:
    shape = (2, count, row.axes) if row.axes else (2, count)
    places = torch.randint(row.reach, shape, generator=generator(stream))
    places[:, 0] = row.reach - 1  # where an encoding follows the largest, it is known
    return places


def _compared(row: Places, position: PositionEncoding, hook: str, formula: Formula) -> float:
    assert hook in HOOKS
    here, there = _positions(row, QUERIES, 3), _positions(row, KEYS, 4)
    heads = (2, row.heads)
    q, k = numbers(*heads, QUERIES, row.size, stream=5), numbers(*heads, KEYS, row.size, stream=6)
    run: Callable[..., Tensor]
    if hook == "embed":
        inputs = [numbers(2, QUERIES, position.input_width(DIM), stream=5)]
        run = lambda x: position.embed(x, SequenceContext(positions=here))
        expected = lambda w, x: formula(w, x, here)
    elif hook == "rotate":
        inputs = [q, k]
        run = lambda q, k: torch.cat(position.rotate(q, k, here, there), dim=2)
        expected = lambda w, q, k: torch.cat([formula(w, q, here), formula(w, k, there)], dim=2)
    elif hook == "carry":
        inputs = [k]
        run = lambda v: position.carry(v, there)
        expected = lambda w, v: formula(w, v, there)
    elif hook == "bias":
        inputs = [q, k]
        run = lambda q, k: position.bias(q, k, here, there).expand(*heads, -1, -1)
        expected = lambda w, q, k: formula(w, q, k, here, there)
    else:
        inputs = [numbers(*heads, QUERIES, KEYS, stream=7)]
        run = lambda given: position.values(given, here, there)
        expected = lambda w, given: formula(w, given, here, there)
    known, weights = weights_of(position), list(position.parameters())
    return scaled_gap(
        slopes(run, inputs, weights), slopes(partial(expected, known), inputs, weights)
    )
