"""Pictures that people look at: sample grids, samples beside training examples, scatters.

Image cells are enlarged by whole factors without smoothing and stand apart on a mid grey, which
neither black nor white data can hide. Nothing is written into a picture: captions are text.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from PIL import Image
from torch import Tensor

from danlu.contracts import DanluError, DataDescription
from danlu.evaluation.canvas import Figure, save_figure
from danlu.files import whole_file

CELL = 48  # smallest side of an enlarged cell, pixels
GAP = 6
PAIR_GAP = 2  # between a sample and its neighbour; pairs stand GAP + CELL // 4 apart
GROUND = 119  # grey between the cells
REAL, DRAWN, LINK = "#8a8f98", "#2f7fb8", "#c2562d"
WIDEST_SCATTER = 4000  # points; more only blacken the picture


def grid(
    samples: Float[Tensor, "n ..."],
    description: DataDescription,
    *,
    path: Path,
    columns: int = 10,
    condition: Int[Tensor, " n"] | None = None,
    behind: Float[Tensor, "m features"] | None = None,
) -> Path:
    """Write samples as a PNG: cells in rows, or a scatter for two numbers each.

    Args:
        samples: `[n, channels, height, width]` or `[n, 2]` on the scale of the data.
        description: gives the scale and the shape.
        path: file to write; its folder is made.
        columns: cells in a row.
        condition: class ids; each class then has its own row, in the order of the ids.
        behind: real 2-D examples drawn faintly below the samples. The picture then shows them,
            so pass held-out examples where training data must stay private.

    Raises:
        DanluError: there is nothing to draw, or the shape is neither an image nor a pair.
    """
    _require(samples, description)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not description.is_image:
        return _scatter(samples, description, path, behind=behind)
    cells = _cells(samples, description)
    if condition is None:
        rows = [cells[first : first + columns] for first in range(0, len(cells), columns)]
    else:
        ids = condition.cpu().numpy()
        rows = [cells[ids == each][:columns] for each in np.unique(ids)]
    side = cells.shape[1:3]
    lefts = [column * (side[1] + GAP) for column in range(max(map(len, rows)))]
    return _write(_laid_out(rows, lefts), path)


def neighbours(
    samples: Float[Tensor, "n ..."],
    nearest: Float[Tensor, "n ..."],
    description: DataDescription,
    *,
    path: Path,
    pairs: int = 4,
) -> Path:
    """Write each sample with its nearest training example to its right; `pairs` in a row.

    Points of 2-D data are joined to their neighbour by a line. Shows training data.
    """
    _require(samples, description)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not description.is_image:
        return _scatter(samples, description, path, linked=nearest)
    left, right = _cells(samples, description), _cells(nearest, description)
    cells = np.stack([left, right], axis=1).reshape(-1, *left.shape[1:])
    rows = [cells[first : first + 2 * pairs] for first in range(0, len(cells), 2 * pairs)]
    width = cells.shape[2]
    period = 2 * width + PAIR_GAP + GAP + CELL // 4
    lefts = [
        (column // 2) * period + (column % 2) * (width + PAIR_GAP)
        for column in range(max(map(len, rows)))
    ]
    return _write(_laid_out(rows, lefts), path)


def _require(samples: Tensor, description: DataDescription) -> None:
    if not len(samples):
        raise DanluError("There are no samples to draw; ask for at least one.")
    drawable = description.is_image and description.shape[0] in (1, 3)
    if not drawable and not description.is_plane:
        raise DanluError(
            f"Cannot draw examples of shape {description.shape}; "
            "images have 1 or 3 channels, points 2 numbers."
        )


def _cells(samples: Tensor, description: DataDescription) -> ndarray:
    """Bytes `[n, height, width, channels]`, enlarged by a whole factor to at least CELL."""
    unit = (samples.detach().cpu().double() - description.low) / (
        description.high - description.low
    )
    levels = (unit.clamp(0, 1) * 255).round().numpy().astype(np.uint8)
    factor = max(1, -(-CELL // max(description.shape[1:])))
    return np.moveaxis(levels, 1, -1).repeat(factor, axis=1).repeat(factor, axis=2)


def _laid_out(rows: list[ndarray], lefts: list[int]) -> ndarray:
    height, width, channels = rows[0].shape[1:]
    sheet_height = len(rows) * (height + GAP) + GAP
    sheet_width = lefts[-1] + width + 2 * GAP
    sheet = np.full((sheet_height, sheet_width, channels), GROUND, dtype=np.uint8)
    for index, row in enumerate(rows):
        top = GAP + index * (height + GAP)
        for cell, left in zip(row, lefts, strict=False):
            sheet[top : top + height, GAP + left : GAP + left + width] = cell
    return sheet


def _write(sheet: ndarray, path: Path) -> Path:
    image = Image.fromarray(sheet.squeeze(-1) if sheet.shape[-1] == 1 else sheet)
    with whole_file(path) as temporary:
        image.save(temporary, format="PNG", optimize=True)
    return path


def _scatter(
    samples: Tensor,
    description: DataDescription,
    path: Path,
    *,
    behind: Tensor | None = None,
    linked: Tensor | None = None,
) -> Path:
    """Points with equal axes on a transparent ground that suits light and dark pages."""
    figure = Figure(figsize=(5, 5), dpi=120)
    axes = figure.add_axes((0.09, 0.06, 0.89, 0.89))
    if behind is not None:
        real = behind[:WIDEST_SCATTER].detach().cpu().numpy()
        axes.plot(*real.T, ".", color=REAL, markersize=4, alpha=0.35, markeredgewidth=0)
    drawn = samples[:WIDEST_SCATTER].detach().cpu().numpy()
    if linked is not None:
        near = linked[:WIDEST_SCATTER].detach().cpu().numpy()
        axes.plot(*np.stack([drawn, near]).transpose(2, 0, 1), color=LINK, linewidth=0.8)
        axes.plot(*near.T, "s", color=LINK, markersize=3.5, markerfacecolor="none")
    axes.plot(*drawn.T, ".", color=DRAWN, markersize=6, alpha=0.7, markeredgewidth=0)
    margin = 0.05 * (description.high - description.low)
    limits = (description.low - margin, description.high + margin)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.patch.set_alpha(0)
    axes.tick_params(colors=REAL, labelsize=11, length=3)
    for spine in axes.spines.values():
        spine.set_edgecolor(REAL)
        spine.set_linewidth(0.6)
    save_figure(figure, path, transparent=True)
    return path
