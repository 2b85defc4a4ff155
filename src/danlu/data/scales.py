"""From stored numbers to the scale that models see, with the levels recorded where there are any.

Integers are levels: 8 bits stay, more are reduced to 8 bits by the depth that their largest value
needs (10, 12, 14 or 16 bits), and images that use fewer than half of the 8-bit range have as many
levels as their largest value needs. Floats that are multiples of 1/255 in [0, 1], or whole numbers
in [0, 255], are 8-bit levels too. Other floats are continuous: [-1, 1] stays, [0, 1] and any other
range are stretched to [-1, 1]. Several splits have one scale. Large arrays are read in parts, and
what is mapped is not copied at all but changed where it is read.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from danlu.contracts import DanluError, DataKind
from danlu.data.decoding import EIGHT_BITS, reduced, white_of
from danlu.data.notices import silent_columns
from danlu.data.readable import Converted
from danlu.reading import require_memory

FAR_FROM_UNIT = 10.0
ROUNDING = 1e-3
"""How far from a whole level, in levels, a stored float32 may be."""
BLOCK = 1 << 22
"""Numbers that are looked at at once."""

Part = np.ndarray | Converted
Parts = Sequence[Part]


@dataclass(frozen=True, slots=True)
class Scaled:
    """Values of every split as `Examples` keep them, and their scale."""

    parts: Parts
    levels: int | None
    low: float
    high: float
    notices: tuple[str, ...] = ()
    kind: DataKind = DataKind.IMAGE


def scale_images(*parts: np.ndarray) -> Scaled:
    """Images of any number type to levels or floats on [-1, 1]."""
    low, high = _range(parts)
    if low == high:
        raise DanluError(f"All pixels have the value {low:g}; there is nothing to learn.")
    if parts[0].dtype.kind == "f":
        return _levels_in_floats(parts, low, high) or _continuous(parts, low, high)
    if low < 0 or high > 65_535:
        raise DanluError(f"Integer pixels must lie in 0..65535, got {low:g}..{high:g}.")
    white = white_of(int(high))
    if white == EIGHT_BITS:
        return _levels([_converted(part, np.uint8) for part in parts])
    told = f"Pixels reach {high:,.0f}: read as {white.bit_length()} bits, and reduced to 8 bits."
    return _levels(
        [_converted(part, np.uint8, lambda x: reduced(x, white)) for part in parts], told
    )


def scale_vectors(*parts: np.ndarray) -> Scaled:
    """Vectors keep their coordinates."""
    low, high = _range(parts)
    if max(-low, high) > float(np.finfo(np.float32).max):
        raise DanluError(f"Values go from {low:g} to {high:g}, beyond float32; scale them down.")
    values = [_converted(part, np.float32) for part in parts]
    low, high = _range(values)  # some differences are too small for float32
    if low == high:
        raise DanluError(f"All values are {low:g}; there is nothing to learn.")
    notices = []
    side = round(parts[0].shape[1] ** 0.5)
    if parts[0].dtype.kind == "u" and side > 3 and side**2 == parts[0].shape[1]:
        notices.append(f"If these are flat images, save them as [n, {side}, {side}] instead.")
    if max(-low, high) > FAR_FROM_UNIT or high - low < 1 / FAR_FROM_UNIT:
        notices.append(
            f"Values go from {low:g} to {high:g}: models learn best near unit scale; "
            "standardise the features first."
        )
    notices += silent_columns(values[0])
    return Scaled(values, None, low, high, tuple(notices), DataKind.VECTOR)


def require_finite(parts: Parts) -> None:
    """Raise `DanluError` where a number is infinite or missing."""
    for part in parts:
        if part.dtype.kind == "f" and not all(np.isfinite(x).all() for _, x in _blocks(part)):
            raise DanluError("examples hold infinite or missing values; remove them.")


def _blocks(x: Part) -> Iterator[tuple[slice, np.ndarray]]:
    step = max(1, BLOCK * len(x) // max(1, x.size))
    for start in range(0, len(x), step):
        yield slice(start, start + step), x[start : start + step]


def _range(parts: Parts) -> tuple[float, float]:
    ends = [(x.min(), x.max()) for part in parts for _, x in _blocks(part)]
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def _converted(
    x: Part, dtype: type, change: Callable[[np.ndarray], np.ndarray] | None = None
) -> Part:
    """The array itself where nothing changes; otherwise a new one, unless it stays in its file."""
    if change is None and x.dtype == dtype:
        return x
    if isinstance(x, np.memmap):
        return Converted(x, dtype, change)
    size = x.size * np.dtype(dtype).itemsize
    require_memory(size, f"Examples of shape {x.shape}", instead="give fewer, or as 8-bit levels")
    found = np.empty(x.shape, dtype)
    for rows, block in _blocks(x):
        found[rows] = block if change is None else change(block)
    return found


def _levels(parts: Parts, *notices: str) -> Scaled:
    largest = int(_range(parts)[1])
    if largest >= 128:
        return Scaled(parts, 256, -1.0, 1.0, notices)
    notices += (f"No pixel exceeds {largest}: {largest + 1} levels instead of 256.",)
    return Scaled(parts, largest + 1, -1.0, 1.0, notices)


def _levels_in_floats(parts: Parts, low: float, high: float) -> Scaled | None:
    """8-bit levels that were stored as floats, in [0, 1] or [0, 255]; None for other floats."""
    if low < 0 or high > 255:
        return None
    factor = 255 if high <= 1 else 1
    gaps = (np.abs(x * factor - np.rint(x * factor)) for part in parts for _, x in _blocks(part))
    if any(gap.max() > ROUNDING for gap in gaps) or round(high * factor) == round(low * factor):
        return None
    whole = [_converted(part, np.uint8, lambda x: np.rint(x * factor)) for part in parts]
    return _levels(whole, "Floats that hold 8-bit levels are read as such.")


def _continuous(parts: Parts, low: float, high: float) -> Scaled:
    wide = high - low >= 1 / FAR_FROM_UNIT
    if low >= -1 and high <= 1 and low < 0 and wide:
        return Scaled([_converted(part, np.float32) for part in parts], None, -1.0, 1.0)
    notices = ()
    if low >= 0 and high <= 1 and wide:
        low, high = 0.0, 1.0
    else:
        notices = (f"Pixels from {low:g} to {high:g} are stretched to [-1, 1].",)
    middle, half = (low + high) / 2, (high - low) / 2
    # In float64: the spread may be tiny beside the values.
    stretch = lambda x: ((x.astype(np.float64) - middle) / half).clip(-1, 1)
    stretched = [_converted(part, np.float32, stretch) for part in parts]
    return Scaled(stretched, None, -1.0, 1.0, notices)
