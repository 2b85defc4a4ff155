"""From stored numbers to the scale that models see, with the levels recorded where there are any.

Integers are levels: 8 bits stay, 16 bits are divided by 257, and images that use fewer than half
of the 8-bit range have as many levels as their largest value needs. Floats that are multiples of
1/255 in [0, 1], or whole numbers in [0, 255], are 8-bit levels too. Other floats are continuous:
[-1, 1] stays, [0, 1] and any other range are stretched to [-1, 1].
"""

from dataclasses import dataclass

import numpy as np

from danlu.contracts import DanluError
from danlu.data.decoding import sixteen_to_eight
from danlu.data.notices import silent_columns

FAR_FROM_UNIT = 10.0
ROUNDING = 1e-3
"""How far from a whole level, in levels, a stored float32 may be."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """Values as `Examples` keep them, and their scale."""

    values: np.ndarray
    levels: int | None
    low: float
    high: float
    notices: tuple[str, ...] = ()


def scale_images(x: np.ndarray) -> Scaled:
    """Images of any number type to levels or floats on [-1, 1]."""
    low, high = float(x.min()), float(x.max())
    if low == high:
        raise DanluError(f"All pixels have the value {low:g}; there is nothing to learn.")
    if x.dtype.kind == "f":
        return _levels_in_floats(x, low, high) or _continuous(x, low, high)
    if low < 0 or high > 65_535:
        raise DanluError(f"Integer pixels must lie in 0..65535, got {low:g}..{high:g}.")
    if high > 255:
        return _levels(sixteen_to_eight(x), "16-bit images are reduced to 8 bits.")
    return _levels(x.astype(np.uint8))


def scale_vectors(x: np.ndarray) -> Scaled:
    """Vectors keep their coordinates."""
    low, high = float(x.min()), float(x.max())
    if low == high:
        raise DanluError(f"All values are {low:g}; there is nothing to learn.")
    notices = []
    side = round(x.shape[1] ** 0.5)
    if x.dtype.kind == "u" and side > 3 and side**2 == x.shape[1]:
        notices.append(f"If these are flat images, save them as [n, {side}, {side}] instead.")
    if max(-low, high) > FAR_FROM_UNIT:
        notices.append(
            f"Values go from {low:g} to {high:g}: models learn best near unit scale; "
            "standardise the features first."
        )
    notices += silent_columns(x)
    return Scaled(x.astype(np.float32), None, low, high, tuple(notices))


def _levels(values: np.ndarray, *notices: str) -> Scaled:
    largest = int(values.max())
    if largest >= 128:
        return Scaled(values, 256, -1.0, 1.0, notices)
    notices += (f"No pixel exceeds {largest}: {largest + 1} levels instead of 256.",)
    return Scaled(values, largest + 1, -1.0, 1.0, notices)


def _levels_in_floats(x: np.ndarray, low: float, high: float) -> Scaled | None:
    """8-bit levels that were stored as floats, in [0, 1] or [0, 255]; None for other floats."""
    if low < 0 or high > 255:
        return None
    levels = x * 255 if high <= 1 else x
    whole = np.rint(levels)
    if np.abs(levels - whole).max() > ROUNDING:
        return None
    return _levels(whole.astype(np.uint8), "Floats that hold 8-bit levels are read as such.")


def _continuous(x: np.ndarray, low: float, high: float) -> Scaled:
    x = x.astype(np.float32)
    if low >= -1 and high <= 1 and low < 0:
        return Scaled(x, None, -1.0, 1.0)
    notices = ()
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    else:
        notices = (f"Pixels from {low:g} to {high:g} are stretched to [-1, 1].",)
    middle, half = np.float32((low + high) / 2), np.float32((high - low) / 2)
    return Scaled(((x - middle) / half).clip(-1, 1), None, -1.0, 1.0, notices)
