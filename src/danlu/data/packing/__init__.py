"""Documents of any length in packs of few sizes, their batches, and their streams."""

from collections.abc import Callable
from functools import partial

from danlu.contracts import Method
from danlu.data.packing.batch import PackedBatch
from danlu.data.packing.best_fit_decreasing import BestFitDecreasing
from danlu.data.packing.documents import Documents
from danlu.data.packing.first_fit import FirstFit
from danlu.data.packing.packer import Pack, Packer, Piece
from danlu.data.packing.stream import PackedStream
from danlu.data.packing.window import WindowBestFit
from danlu.data.packing.wrapped import Wrapped

__all__ = ["PACKERS", "Documents", "Pack", "PackedBatch", "PackedStream", "Packer", "Piece"]


def _tiny(target: Callable[[int], Packer]) -> Callable[..., Packer]:
    return lambda capacity=16: target(capacity)


PACKERS = {
    "window-best-fit": Method(
        WindowBestFit, ("D. S. Johnson (1973)", "arXiv:2107.02027"), _tiny(WindowBestFit)
    ),
    "next-fit": Method(
        WindowBestFit, ("D. S. Johnson (1973)",), _tiny(partial(WindowBestFit, window=1))
    ),
    "first-fit": Method(FirstFit, ("SIAM J. Comput. 3, 299 (1974)",), _tiny(FirstFit)),
    "best-fit-decreasing": Method(
        BestFitDecreasing,
        ("SIAM J. Comput. 3, 299 (1974)", "arXiv:2404.10830"),
        _tiny(BestFitDecreasing),
    ),
    "wrapped": Method(Wrapped, ("arXiv:2005.14165", "arXiv:2404.10830"), _tiny(Wrapped)),
}
"""`build(capacity)` makes a packer with its usual options."""
