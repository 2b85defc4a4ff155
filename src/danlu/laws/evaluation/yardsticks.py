"""Laws of yardsticks: whose data they are, and what shuffling leaves of it."""

import torch

from danlu.contracts import Classes, DataDescription
from danlu.data import Examples, Source
from danlu.evaluation.corruptions import shuffled, yardsticks
from danlu.laws.draws import standard_normal
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Rows, table

PLANE = DataDescription(shape=(2,), levels=None, low=-9.0, high=9.0, condition=Classes(3))
SPLITS = {"training": 0.0, "validation": 100.0, "test": 200.0}
"""What is added to the numbers of each split, so that they tell where they come from."""


def _source(n: int) -> Source:
    training, validation, test = (
        Examples(
            torch.arange(2 * n).view(n, 2).double() + shift,
            (torch.arange(n) + int(shift)) % 3,
            PLANE,
        )
        for shift in SPLITS.values()
    )
    return Source(
        name="numbers",
        description=PLANE,
        training=training,
        validation=validation,
        test=test,
    )


def whose() -> float:
    """The floor is of the split that is not scored, the copy of the training data."""
    source, worst = _source(8), 0.0
    for scored, floor in (("test", "validation"), ("validation", "test")):
        for n, count in ((5, 5), (9, 8)):
            rows = {row.kind.value: row for row in yardsticks(source, n, split=scored)}
            for kind, split in (("floor", floor), ("train-copy", "training")):
                x, classes = rows[kind].x, rows[kind].classes
                assert classes is not None
                own = x - SPLITS[split]
                inside = own.min() >= 0 and own.max() < 16
                exact = (own[:, 0] / 2 + SPLITS[split]) % 3
                found = [len(x), bool(inside), len(own.unique(dim=0))]
                worst = largest(worst, gap(found, [count, True, count]), gap(classes, exact))
            worst = largest(worst, gap(len(rows), 3))
            again = yardsticks(source, n, split=scored)
            same = [gap(a.x, b.x) for a, b in zip(rows.values(), again, strict=True)]
            worst = largest(worst, same)
    return worst


def shuffling() -> float:
    """Shuffled values keep each column's numbers and no relation of columns."""
    column = standard_normal(400)
    x = torch.stack([column, column], dim=1)
    y = shuffled(x)
    kept = gap(y.sort(0).values, x.sort(0).values)
    related = torch.corrcoef(y.T)[0, 1].abs().item()
    # The standard error of a correlation that is 0 is 1/20 for 400 pairs.
    return largest(kept, float(related > 6 / 20))


_LAWS: Rows = {
    "enumeration": [
        ("evaluation/yardsticks", 0.0, whose),
    ],
    "contract": [
        ("evaluation/shuffled", 0.0, shuffling),
    ],
}

LAWS = table(_LAWS)
