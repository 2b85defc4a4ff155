"""Laws of steppers and of the noise that samplers draw, against definitions written apart."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from danlu.contracts import derive_seed
from danlu.contracts.noise import BatchNoise, ItemNoise, Rows, part_of_batch
from danlu.contracts.recorded_noise import GivenNoise, RecordedNoise
from danlu.laws.draws import generator, seed
from danlu.laws.gaps import gap
from danlu.laws.law import Case, Law, stated
from danlu.solvers.steppers import Euler, Heun, Midpoint, RungeKutta4, Stepper

# Of each rule its nodes, the rows of its matrix and its weights, as they stand in Hairer et al.
TABLEAUX = {
    Euler: ([0.0], [[]], [1.0], 1),
    Midpoint: ([0.0, 0.5], [[], [0.5]], [0.0, 1.0], 2),
    Heun: ([0.0, 1.0], [[], [1.0]], [0.5, 0.5], 2),
    RungeKutta4: (
        [0.0, 0.5, 0.5, 1.0],
        [[], [0.5], [0.0, 0.5], [0.0, 0.0, 1.0]],
        [1 / 6, 1 / 3, 1 / 3, 1 / 6],
        4,
    ),
}


def _bent(x: Tensor, t: float) -> Tensor:
    return torch.sin(3 * t + x) + t * x.flip(0)


def _by_tableau(stepper: type, x: Tensor, t: float, t_next: float) -> Tensor:
    nodes, matrix, weights, _ = TABLEAUX[stepper]
    h, slopes = t_next - t, []
    for node, row in zip(nodes, matrix, strict=True):
        inner = sum((a * k for a, k in zip(row, slopes, strict=True)), torch.zeros_like(x))
        slopes.append(_bent(x + h * inner, t + node * h))
    return x + h * sum((b * k for b, k in zip(weights, slopes, strict=True)), torch.zeros_like(x))


def _steps() -> Iterator[Case]:
    """A step equals that of the rule's tableau, on a drift that bends in state and time."""
    x = torch.randn(5, generator=generator())
    for kind in TABLEAUX:
        for t, t_next in ((0.3, 0.7), (1.2, 0.5)):

            def error(kind: type = kind, t: float = t, t_next: float = t_next) -> float:
                return gap(kind().step(_bent, x, t, t_next), _by_tableau(kind, x, t, t_next))

            yield f"{kind.__name__} from {t} to {t_next}", error


def _declared() -> Iterator[Case]:
    """Order and evaluations are the rule's, and so many are made."""
    for kind, (nodes, _, _, order) in TABLEAUX.items():

        def error(kind: type[Stepper] = kind, nodes: list = nodes, order: int = order) -> float:
            calls = []
            kind().step(lambda x, t: calls.append(t) or x, torch.ones(1), 0.0, 0.1)
            return gap([kind.order, kind.evaluations, len(calls)], [order, len(nodes), len(nodes)])

        yield kind.__name__, error


def _item_noise() -> float:
    """The noise of an item is a function of (seed, step, item), and torch's own."""
    run = seed()
    noise = ItemNoise(run, [5, 9], dtype=torch.float64)
    found = [noise.normal(4), noise.uniform(2)]
    expected = []
    for step, (draw, n) in enumerate(((torch.randn, 4), (torch.rand, 2))):
        rows = [
            draw(n, generator=torch.Generator().manual_seed(derive_seed(run, step, item)))
            for item in (5, 9)
        ]
        expected.append(torch.stack(rows).double())
    return gap(found, expected)


def _stratified() -> float:
    """Stratified numbers of a batch lie one in each part of [0, 1), in random order."""
    u = BatchNoise(64, dtype=torch.float64).stratified()
    cells = (u * 64).floor()
    if torch.equal(cells, cells.sort().values) or float((u * 64 - cells).std()) < 0.15:
        return math.inf
    return gap(cells.sort().values, torch.arange(64))


def _parts() -> float:
    """Parts of a batch draw the rows of what the whole batch draws."""

    def drawn(first: int, last: int) -> tuple[Tensor, ...]:
        with part_of_batch(Rows(first, last, 6), seed()):
            noise = BatchNoise(last - first)
            return noise.stratified(), noise.normal(2), noise.uniform()

    whole = drawn(0, 6)
    parts = zip(drawn(0, 2), drawn(2, 6), strict=True)
    return gap(tuple(torch.cat(pair) for pair in parts), whole)


def _recorded() -> float:
    """Recorded draws come back in their order."""
    recorded = RecordedNoise(ItemNoise(seed(), [0, 1]))
    drawn = [recorded.normal(3), recorded.uniform(2), recorded.normal(1)]
    if [kind for kind, _ in recorded.draws] != ["normal", "uniform", "normal"]:
        return math.inf
    given = GivenNoise(values for _, values in recorded.draws)
    return gap([given.normal(3), given.uniform(2), given.normal(1)], drawn)


LAWS: list[Law] = [
    stated("solvers/steppers", 1e-14, _steps, "definition"),
    stated("solvers/declared", 0.0, _declared, "golden value"),
    stated("solvers/item-noise", 0.0, _item_noise, "definition"),
    stated("solvers/stratified", 0.0, _stratified, "definition"),
    stated("solvers/parts", 0.0, _parts, "contract"),
    stated("solvers/recorded-noise", 0.0, _recorded, "contract"),
]
