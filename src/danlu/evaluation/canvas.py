"""The one door to matplotlib: figures are drawn into files, whatever shows them elsewhere.

`MPLBACKEND` is what every notebook exports to the programs that it starts, and matplotlib cannot
even be imported where it names a package that is not here. A backend that is here stays chosen:
what the user draws is not for us to change.
"""

import os
from pathlib import Path
from typing import Any

try:
    from matplotlib.figure import Figure
except ValueError:
    unknown = os.environ.pop("MPLBACKEND")
    from matplotlib.figure import Figure

    os.environ["MPLBACKEND"] = unknown
from matplotlib import ticker
from matplotlib.backends.backend_agg import FigureCanvasAgg

from danlu.files import whole_file

__all__ = ["Figure", "save_figure", "ticker"]


def save_figure(figure: Figure, path: Path, **options: Any) -> None:
    """Write a figure as PNG, in one step."""
    FigureCanvasAgg(figure)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", **options)
