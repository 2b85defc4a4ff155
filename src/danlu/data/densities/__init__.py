"""Densities in the plane with exact samplers and exact log-densities."""

from danlu.data.densities.checkerboard import Checkerboard
from danlu.data.densities.density import Density, density_source
from danlu.data.densities.mixtures import EightGaussians, GaussianGrid
from danlu.data.densities.moons import TwoMoons
from danlu.data.densities.pinwheel import Pinwheel
from danlu.data.densities.rings import Rings

__all__ = [
    "Checkerboard",
    "Density",
    "EightGaussians",
    "GaussianGrid",
    "Pinwheel",
    "Rings",
    "TwoMoons",
    "density_source",
]
