"""Identities of position encodings: grids, sections, tables, waves, the border."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from scipy.linalg import expm
from torch import Tensor, nn

from danlu.contracts import SequenceContext
from danlu.laws.draws import standard_normal
from danlu.laws.gaps import excess, gap, largest
from danlu.laws.law import Rows, table
from danlu.laws.mixers.sequences import made, refused, tokens
from danlu.mixers.softmax import Softmax
from danlu.positions.base import PositionEncoding
from danlu.positions.completeness import Point, completeness
from danlu.positions.convolution import ZeroPaddedConvolution
from danlu.positions.hierarchical import Hierarchical, hierarchical_table
from danlu.positions.learned import Learned
from danlu.positions.multimodal_rotary import MRoPE
from danlu.positions.multiplicative import Multiplicative
from danlu.positions.recursive import Recursive
from danlu.positions.rotary import Rotary
from danlu.positions.rotary_grid import RotaryGrid

GRID = list(itertools.product(range(4), repeat=2))


def matrix_at(position: Any, point: Point, dim: int) -> Tensor:
    """The rotation at one position, as a matrix on columns."""
    eye = torch.eye(dim, dtype=torch.float64)[None, None]
    place = torch.tensor(point)[None, None].expand(1, dim, -1)
    place = place[..., 0] if len(point) == 1 else place
    return position.rotate(eye, eye, place, place)[0][0, 0].T.detach()


def grid_is_exponential() -> float:
    """Axes turn on their own, relative and apart."""
    grid = RotaryGrid(8, layout="interleaved")
    found = completeness(lambda point: matrix_at(grid, point, 8), GRID)
    plain = Rotary(4, layout="interleaved")
    parts = [matrix_at(plain, (n,), 4) for n in (3, 5)]
    blocks = gap(matrix_at(grid, (3, 5), 8), torch.block_diag(*parts))
    return largest(blocks, found.relative, found.orthogonal, float(found.apart < 0.1))


def text_is_plain() -> float:
    """Text is the plain encoding."""
    x, text, worst = standard_normal(1, 2, 6, 16), torch.arange(6)[None], 0.0
    for order in ("blocks", "interleaved"):
        rope: Any = MRoPE(16, sections=(2, 3, 3), order=order)
        worst = largest(worst, gap(rope.turn(x, text), Rotary(16).turn(x, text)))
        same = text[..., None].expand(-1, -1, 3)
        worst = largest(worst, gap(rope.turn(x, same), rope.turn(x, text)))
        worst += gap(sum(axis == 1 for axis in rope.axis_of_pair), 3)
    blocks = MRoPE(16, sections=(2, 3, 3)).axis_of_pair != (0, 0, 1, 1, 1, 2, 2, 2)
    dealt = MRoPE(16, sections=(4, 2, 2), order="interleaved").axis_of_pair
    return worst + blocks + (dealt != (0, 1, 2, 0, 1, 2, 0, 0))


def negative_cases() -> float:
    """Counterexamples are told."""

    def diagonal(point: Point) -> Tensor:
        return matrix_at(Rotary(4), (sum(point),), 4)

    def quaternion(point: Point) -> Tensor:
        x, y = point
        i = [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]]
        j = [[0, 0, -1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, -1, 0, 0]]
        units = [torch.tensor(unit, dtype=torch.float64) for unit in (i, j)]
        return torch.from_numpy(expm((x * units[0] + y * units[1]).numpy()))

    first, second = (completeness(each, GRID[:6]) for each in (diagonal, quaternion))
    same, other = (each.explain() for each in (first, second))
    # NaN is neither small nor large.
    small = excess([first.relative, first.apart], [1e-9] * 2) <= 0 and "the same rotation" in same
    large = excess([0.1] * 2, [second.relative, second.apart]) <= 0 and "not commute" in other
    return 2.0 - small - large


def hierarchy_keeps_rows() -> float:
    """The first rows are the trained ones."""
    position = Hierarchical(6, 4).double()
    table = position.table.detach()
    long = hierarchical_table(table, 16)
    u = (table - 0.4 * table[0]) / 0.6
    made = torch.stack([0.4 * u[n // 4] + 0.6 * u[n % 4] for n in range(16)])
    twins = gap(long[1], long[4]) < 1e-3  # (0, 1) and (1, 0)
    wrong = sum(refused(lambda a=a: Hierarchical(6, 4, alpha=a)) for a in (0.0, 0.5, 1.0))
    wrong += refused(lambda: hierarchical_table(table, 17))
    return largest(gap(long[:4], table), gap(made, long)) + wrong + twins


class _Linear(nn.Module):
    """h(p, t) = A p."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix)

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :-1] @ self.get_buffer("matrix").T


def recursion_is_exponential() -> float:
    """Linear dynamics are exponentials."""
    skew = standard_normal(4, 4)
    skew = (skew - skew.T) / 2
    worst = 0.0
    for matrix in (skew, 0 * skew):
        position = Recursive(4, 33, dynamics=_Linear(matrix)).double()
        table = position.table().detach()
        for n in (1, 7, 32):
            expected = table[0] @ torch.from_numpy(expm(n / 33 * matrix.numpy())).T
            worst = largest(worst, gap(table[n], expected))
    return worst


def border_tells() -> float:
    """The border alone tells."""
    position, x = ZeroPaddedConvolution(6).double(), standard_normal(1, 12, 6)
    x[:, :4] = x[:, 8:] = x[:, 4:5]  # constant but for the middle
    context = SequenceContext()
    inside = gap(position.embed(x.roll(2, 1), context)[:, 4:10], position.embed(x, context)[:, 2:8])
    constant = position.embed(x[:, :1].expand(-1, 9, -1), context)
    silent = gap(constant[:, 0], constant[:, 4]) < 1e-3
    mixer = made(partial(Softmax, 6, heads=1, position=position))
    return inside + silent + refused(lambda: mixer(tokens(mixer, 3)))


def tables_end() -> float:
    """A position beyond a table is refused."""
    builds: dict[int, Callable[[], PositionEncoding]] = {
        5: partial(Recursive, 4, 5),
        6: partial(Learned, 4, 6),
        7: partial(Multiplicative, 4, 7),
        9: partial(Hierarchical, 4, 3),
    }
    x, wrong = torch.zeros(1, 2, 4), 0.0
    for end, build in builds.items():
        far, last = (SequenceContext(positions=torch.tensor([[0, n]])) for n in (end, end - 1))
        wrong += refused(partial(build().embed, x, far))
        wrong += 1 - refused(partial(build().embed, x, last))
    return wrong


_ROWS: Rows = {
    "self-consistency": [
        ("rope-grid/blocks", 1e-12, grid_is_exponential),
        ("m-rope/text", 1e-12, text_is_plain),
        ("hierarchical/rows", 1e-12, hierarchy_keeps_rows),
    ],
    "closed form": [
        ("rope/completeness", 0.0, negative_cases),
        ("floater/exponential", 1e-7, recursion_is_exponential),
    ],
    "contract": [
        ("learned/end", 0.0, tables_end),
        ("zero-padding/border", 1e-12, border_tells),
    ],
}

LAWS = table(_ROWS, prefix="positions/")
