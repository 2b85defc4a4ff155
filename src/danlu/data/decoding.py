"""One image file to a square of 8-bit pixels, whatever its mode, depth or orientation.

The picture is turned as its EXIF orientation says, reduced to 8 bits, composited on white where it
is transparent, cropped to the central square and resized with a Lanczos filter. Grey pictures stay
grey, also when they are stored as colour. Cameras and microscopes put 10, 12 or 14 bits into files
of 16: what is white is then a fact of all files together, and is given. Of several pictures in one
file the first is taken.
"""

import warnings
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Raster formats, where Pillow has them; others, such as EPS, would start foreign programs."""

FRAMED = ("AVIF", "GIF", "PNG", "TIFF", "WEBP")
"""Formats of several pictures; further ones in photos of telephones are previews."""
MOST_PIXELS = 89_478_485
"""Of a picture that is decoded whole, a quarter of a gigabyte. From here on Pillow warns, which is
said better among the skipped files; what is twice as large it refuses itself."""
EIGHT_BITS, SIXTEEN_BITS = 255, 65_535
WHITES = (EIGHT_BITS, 1_023, 4_095, 16_383, SIXTEEN_BITS)
DARK = 64
"""A picture whose 16-bit colours all lie below this, of 256, has fewer bits than it says."""

Pixels = np.ndarray
"""uint8, `[size, size]` when grey and `[size, size, 3]` in colour."""


warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class Decoded(NamedTuple):
    """One image, and what a person should know of it."""

    pixels: Pixels
    enlarged: bool
    several: bool
    """Whether the file holds further pictures."""


def decode(path: Path, size: int, *, white: int = SIXTEEN_BITS) -> Decoded | str:
    """The image, or the reason why there is none.

    Args:
        path: of the file.
        size: side of the square.
        white: the largest level of files of more than 8 bits.
    """
    try:
        if path.stat().st_size == 0:
            return "empty file"
        with Image.open(path, formats=_formats()) as image:
            if image.width * image.height > MOST_PIXELS and image.format != "JPEG":
                return f"too large: {image.width:,} x {image.height:,} pixels"
            # JPEG can be decoded at a fraction of its size; twice the target loses nothing.
            image.draft(None, (2 * size, 2 * size))
            several = image.format in FRAMED and bool(getattr(image, "is_animated", False))
            deep = _has_deep_colours(image)
            picture = _eight_bit(ImageOps.exif_transpose(image), white)
            if deep and (np.asarray(picture) < DARK).all():
                return "colours of 16 bits that fill 14 or fewer: save it with 8 bits for a colour"
            pixels = _pixels(_square(picture, size))
            return Decoded(pixels, min(picture.size) < size, several)
    except UnidentifiedImageError:
        return "not an image"
    except PermissionError:
        return "no permission to read it"
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        return f"damaged image: {' '.join(str(error).split()) or type(error).__name__}"


def deepest(path: Path) -> int:
    """The largest level of a grey file of more than 8 bits; 0 for any other file."""
    try:
        with Image.open(path, formats=_formats()) as image:
            return int(np.asarray(image).max()) if image.mode.startswith("I") else 0
    except Exception:  # whatever is wrong with it, `decode` will say
        return 0


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def white_of(largest: int) -> int:
    """The largest level of the smallest depth (8, 10, 12, 14 or 16 bits) that holds a value."""
    return next(white for white in WHITES if largest <= white)


def reduced(levels: np.ndarray, white: int = SIXTEEN_BITS) -> np.ndarray:
    """Levels up to `white` to the nearest of 8 bits; black stays black and white stays white."""
    return ((levels.astype(np.uint32) * EIGHT_BITS + white // 2) // white).astype(np.uint8)


def _has_deep_colours(image: Image.Image) -> bool:
    """Whether colours are stored in 16 bits, of which Pillow keeps the upper 8."""
    return image.mode == "RGB" and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def _eight_bit(image: Image.Image, white: int) -> Image.Image:
    """The picture in mode L or RGB."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_deep(image, white))
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        picture = image.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(paper, picture).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _deep(image: Image.Image, white: int) -> np.ndarray:
    """8-bit levels of a grey picture with 16 or 32 bits, or floats in [0, 1]."""
    levels = np.asarray(image)
    low, high = levels.min(), levels.max()
    if image.mode == "F" and 0 <= low <= high <= 1:
        return np.rint(levels * 255).astype(np.uint8)
    if image.mode != "F" and 0 <= low <= high <= white:
        return reduced(levels, white)
    raise ValueError(f"grey values from {low:g} to {high:g} have no known scale")


def _square(picture: Image.Image, size: int) -> Image.Image:
    width, height = picture.size
    if (width, height) == (size, size):
        return picture
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    lanczos = Image.Resampling.LANCZOS
    return picture.resize((size, size), lanczos, box=box, reducing_gap=3.0)


def _pixels(picture: Image.Image) -> Pixels:
    pixels = np.asarray(picture)
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        return pixels[..., 0]
    return pixels
