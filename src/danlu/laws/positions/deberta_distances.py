"""DeBERTa's distances, of both versions and of the paper, against sums over pairs."""

import itertools
import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from danlu.laws.draws import standard_normal
from danlu.laws.gaps import relative_gap
from danlu.laws.law import Law
from danlu.positions.deberta import DeBERTa
from danlu.positions.deberta_v2 import DeBERTaV2


def _scores(position: DeBERTa, q: Tensor, k: Tensor) -> Tensor:
    places = torch.arange(q.shape[2])[None]
    return q @ k.mT * position.score_scale(q.shape[-1]) + position.bias(q, k, places, places)


def _by_pairs(
    position: DeBERTa, q: Tensor, k: Tensor, row: Callable[[int], int], sign: int
) -> Tensor:
    """The three terms summed for each pair; the distance back is `sign` times i - j."""
    heads, size = q.shape[1], q.shape[-1]
    keys, queries = (
        to(position.table).unflatten(-1, (heads, size)) for to in (position.key, position.query)
    )
    expected = torch.empty(1, heads, q.shape[2], k.shape[2], dtype=torch.float64)
    for h, i, j in itertools.product(range(heads), range(q.shape[2]), range(k.shape[2])):
        terms = q[0, h, i] @ (k[0, h, j] + keys[row(i - j), h])
        terms = terms + k[0, h, j] @ queries[row(sign * (i - j)), h]
        expected[0, h, i, j] = terms / math.sqrt(3 * size)
    return expected


def deberta_by_definition(sign: int) -> float:
    """DeBERTa's scores against sums over pairs, published (1) and as in the paper (-1)."""
    position = DeBERTa(2, 4, farthest=3, back="published" if sign == 1 else "paper").double()
    q, k = standard_normal(1, 2, 6, 4), standard_normal(1, 2, 6, 4, stream=1)
    expected = _by_pairs(position, q, k, lambda n: max(-3, min(2, n)) + 3, sign)
    return relative_gap(_scores(position, q, k), expected)


def deberta_v2_by_definition() -> float:
    """The second version's scores against sums over pairs, buckets from their definition."""
    position = DeBERTaV2(2, 4, farthest=30, buckets=6).double()
    q, k = standard_normal(1, 2, 40, 4), standard_normal(1, 2, 40, 4, stream=1)

    def row(distance: int) -> int:
        far = abs(distance)
        steps = math.ceil(2 * math.log(max(far, 3) / 3) / math.log(29 / 3) - 1e-9)
        bucket = distance if far <= 3 else int(math.copysign(3 + steps, distance))
        return max(-6, min(5, bucket)) + 6

    return relative_gap(_scores(position, q, k), _by_pairs(position, q, k, row, 1))


_ROWS = [
    ("deberta", "both distances are i - j", partial(deberta_by_definition, 1)),
    ("deberta-paper", "the distance back is j - i", partial(deberta_by_definition, -1)),
    ("deberta-v2", "far distances share logarithmic buckets", deberta_v2_by_definition),
]

LAWS = [
    Law(f"positions/{name}/definition", said, 1e-12, run, oracle="definition")
    for name, said, run in _ROWS
]
