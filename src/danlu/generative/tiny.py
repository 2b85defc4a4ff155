"""The smallest data descriptions, for the tiny instance of every family."""

from danlu.contracts import Classes, DataDescription, DataKind

TINY = DataDescription(
    kind=DataKind.IMAGE, shape=(1, 4, 4), levels=4, low=-1.0, high=1.0, condition=Classes(3)
)
TINY_VECTOR = DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0)
