"""Sources, splits, levels and scale of the data, and resumable streams.

`SOURCES` lists the named sets; `open_source` also takes paths.
"""

from danlu.contracts import Method
from danlu.data.densities import (
    Checkerboard,
    Density,
    EightGaussians,
    GaussianGrid,
    Pinwheel,
    Rings,
    TwoMoons,
    density_source,
)
from danlu.data.digits import digits
from danlu.data.idx import fashion_mnist
from danlu.data.opening import open_source
from danlu.data.source import Examples, Source
from danlu.data.stream import ExampleStream

__all__ = ["SOURCES", "ExampleStream", "Examples", "Source", "open_source"]


def _density(name: str, target: type[Density], *sources: str) -> Method:
    return Method(target, sources, lambda: density_source(name, target()))


SOURCES = {
    "digits": Method(digits, ("doi:10.24432/C50P49",), digits),
    "fashion-mnist": Method(fashion_mnist, ("arXiv:1708.07747",), fashion_mnist),
    "eight-gaussians": _density("eight-gaussians", EightGaussians, "arXiv:1611.02163"),
    "gaussian-grid": _density("gaussian-grid", GaussianGrid, "arXiv:1606.00704"),
    "two-moons": _density("two-moons", TwoMoons, "scikit-learn make_moons"),
    "checkerboard": _density("checkerboard", Checkerboard, "arXiv:1810.01367"),
    "pinwheel": _density("pinwheel", Pinwheel, "arXiv:1603.06277"),
    "rings": _density("rings", Rings, "arXiv:1810.01367"),
}
"""Named sets; `build()` opens the whole source."""
