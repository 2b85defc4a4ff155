"""One image file to a square of 8-bit pixels, whatever its mode, depth or orientation.

The picture is turned as its EXIF orientation says, reduced to 8 bits (16-bit levels divide by
257), composited on white where it is transparent, cropped to the central square and resized with
a Lanczos filter. Grey pictures stay grey, also when they are stored as colour.
"""

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Raster formats, where Pillow has them; others, such as EPS, would start foreign programs."""

Pixels = np.ndarray
"""uint8, `[size, size]` when grey and `[size, size, 3]` in colour."""


def decode(path: Path, size: int) -> tuple[Pixels, bool] | str:
    """The pixels and whether they were enlarged, or the reason why there are none."""
    try:
        if path.stat().st_size == 0:
            return "empty file"
        with Image.open(path, formats=_formats()) as image:
            # JPEG can be decoded at a fraction of its size; twice the target loses nothing.
            image.draft(None, (2 * size, 2 * size))
            picture = _eight_bit(ImageOps.exif_transpose(image))
            return _pixels(_square(picture, size)), min(picture.size) < size
    except UnidentifiedImageError:
        return "not an image"
    except PermissionError:
        return "no permission to read it"
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
        return f"damaged image: {' '.join(str(error).split()) or type(error).__name__}"


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def sixteen_to_eight(levels: np.ndarray) -> np.ndarray:
    """16-bit levels to the nearest of 8 bits; black stays black and white stays white."""
    return ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _eight_bit(image: Image.Image) -> Image.Image:
    """The picture in mode L or RGB."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_deep(image))
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        picture = image.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(paper, picture).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _deep(image: Image.Image) -> np.ndarray:
    """8-bit levels of a grey picture with 16 or 32 bits, or floats in [0, 1]."""
    levels = np.asarray(image)
    low, high = levels.min(), levels.max()
    if image.mode == "F" and 0 <= low <= high <= 1:
        return np.rint(levels * 255).astype(np.uint8)
    if image.mode != "F" and 0 <= low <= high < 65_536:
        return sixteen_to_eight(levels)
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
