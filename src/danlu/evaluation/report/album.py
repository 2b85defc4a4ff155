"""Pictures as data inside the page, made smaller as far as the page's limit asks."""

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from danlu.contracts import DanluError
from danlu.evaluation.markup import Safe, tag
from danlu.evaluation.results import Picture
from danlu.training.records import inside


@dataclass(frozen=True, slots=True)
class Fit:
    """How large pictures may be: pixels across, frames of a strip, colours (None keeps all)."""

    large: int
    small: int
    frames: int
    colours: int | None = None


MOST_PIXELS = 50_000_000
FITS = (
    Fit(1200, 360, 6),
    Fit(1200, 360, 6, 64),
    Fit(900, 240, 5, 48),
    Fit(640, 200, 4, 32),
    Fit(440, 140, 3, 16),
    Fit(280, 100, 2, 8),
    Fit(160, 60, 0, 4),
)
"""Tried in turn until the page is small enough."""


@dataclass(frozen=True, slots=True)
class Album:
    """The pictures of a results folder at one fit."""

    folder: Path
    fit: Fit

    def large(self, picture: Picture) -> Safe:
        """The picture as a main figure."""
        return self._embedded(picture, self.fit.large)

    def small(self, picture: Picture) -> Safe:
        """The picture as a frame of a strip."""
        return self._embedded(picture, self.fit.small)

    def frames(self, pictures: list[Picture]) -> list[Picture]:
        """Pictures in order of time, evenly thinned to the frames of a strip; the ends stay."""
        ordered = sorted(pictures, key=lambda picture: picture.seconds)
        most = self.fit.frames
        if len(ordered) <= most or most < 2:
            return ordered[:most]
        return [ordered[round(i * (len(ordered) - 1) / (most - 1))] for i in range(most)]

    def _embedded(self, picture: Picture, width: int) -> Safe:
        try:
            data, size = _encoded(_found(self.folder, picture.path), width, self.fit.colours)
        except DanluError as error:
            return tag("p", str(error), class_="quiet")
        return tag(
            "img",
            src=f"data:image/png;base64,{data}",
            alt=picture.alt,
            width=size[0],
            height=size[1],
        )


def _found(folder: Path, name: str) -> Path:
    """A picture of a folder, which is inside of it."""
    path = inside(folder, name)
    if not path.is_file():
        raise DanluError(f"The picture {name} is missing.")
    return path


def _encoded(path: Path, width: int, colours: int | None) -> tuple[str, tuple[int, int]]:
    """The file as base64 PNG, and its size in pixels; other formats are not opened."""
    try:
        with Image.open(path, formats=["PNG"]) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise DanluError(f"The picture {path.name} is too large for a page.")
            opened.load()
    except DanluError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DanluError(f"The picture {path.name} cannot be read as PNG.") from error
    image = opened.convert({"L": "L", "RGB": "RGB", "LA": "RGBA"}.get(opened.mode, "RGBA"))
    # A whole factor keeps the edges of enlarged cells sharp, which also makes files small.
    image = image.reduce(-(-image.width // width))
    if colours is not None:
        image = image.quantize(colours, method=Image.Quantize.FASTOCTREE)
    buffer = BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii"), image.size
