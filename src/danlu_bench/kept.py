"""What a study keeps of finished work, so that one that was cut off goes on where it was."""

import json
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import torch
from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from danlu.contracts import DataDescription
from danlu.files import whole_file, write_json
from danlu.losses.likelihoods import nearest_levels
from danlu.measuring.planning import BLOCK

LEVELS, SECONDS = "levels", "seconds"

Images = Float[Tensor, "n channels height width"]


class KeptFigures:
    """Figures by name in a JSON file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._figures = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def get(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The figures of a name, measured now where they are not kept."""
        if name not in self._figures:
            self._figures[name] = measure()
            write_json(self._path, self._figures)
        return self._figures[name]


def kept_samples(
    path: Path, description: DataDescription, n: int, draw: Callable[[range], Images]
) -> tuple[Images, float]:
    """Samples on the levels of the data, and the CPU seconds that they took.

    Args:
        path: file that has as many of them as were drawn before.
        description: of the data.
        n: how many.
        draw: those of some rows, of which the first is the first of a block of `BLOCK`.
    """
    levels, seconds = _recalled(path, description.shape)
    while len(levels) < n:
        began = process_time()
        x = draw(range(len(levels), min(len(levels) + BLOCK, n)))
        seconds += process_time() - began
        levels = torch.cat([levels, nearest_levels(x, description).to(torch.uint8)])
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            save_file({LEVELS: levels}, temporary, metadata={SECONDS: str(seconds)})
    return description.low + description.spacing * levels.float(), seconds


def _recalled(path: Path, shape: tuple[int, ...]) -> tuple[Tensor, float]:
    if not path.exists():
        return torch.empty(0, *shape, dtype=torch.uint8), 0.0
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(LEVELS), float(file.metadata()[SECONDS])
