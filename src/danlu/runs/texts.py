"""Models of text while they train and afterwards: texts in place of pictures, held-out figures.

The figures of a text are means over held-out windows, with their standard errors over windows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DataDescription
from danlu.data import Examples
from danlu.data.text import tokens_of
from danlu.evaluation.results import Measured
from danlu.files import write_text
from danlu.generative.base import GenerativeModel
from danlu.runs.config import RunConfig
from danlu.runs.drawing import draw
from danlu.runs.hooks import SAMPLES, PictureRow, SamplePictures
from danlu.training import Policy

TEXTS, WINDOWS = 3, 64
"""Texts that are drawn, and validation windows that are measured, while training."""
BATCH = 32
PER_TOKEN = "nats_per_token"


class TextSamples(SamplePictures):
    """Writes `samples/*.txt` at the moments of pictures, and measures the validation split.

    Args:
        folder: of the run.
        config: of the run.
        policy: at which texts are drawn.
        held_out: windows of the validation split.
    """

    def __init__(self, folder: Path, config: RunConfig, policy: Policy, held_out: Examples) -> None:
        super().__init__(folder, config, policy)
        spread = torch.linspace(0, len(held_out) - 1, min(WINDOWS, len(held_out)))
        self.held_out = held_out.x(spread.long())

    @override
    def _record(self, model: GenerativeModel, cells: int, step: int, seconds: float) -> PictureRow:
        folder = self.folder / SAMPLES
        folder.mkdir(exist_ok=True)
        found = held_out_figures(model, self.held_out, policy=self.policy)
        figures = {name: each.value for name, each in found.items() if name != "windows"}
        row = PictureRow(step=step, seconds=seconds, figures=figures)
        if "sample" in model.can:
            drawn = draw(
                model,
                None,
                TEXTS,
                options=self.config.options(model),
                seed=self.config.seed,
                policy=self.policy,
            )
            path = folder / f"{step:06d}.txt"
            write_text(path, separated(texts_of(drawn.x, model.description)))
            row = replace(row, text=f"{SAMPLES}/{path.name}")
        return row


def texts_of(ids: Float[Tensor, "n length"], description: DataDescription) -> list[str]:
    """Drawn rows as texts."""
    tokens = tokens_of(description)
    return [tokens.decode(row.long()) for row in ids]


def separated(texts: Sequence[str]) -> str:
    """Several texts in one, with their numbers where there is more than one."""
    if len(texts) == 1:
        return f"{texts[0]}\n"
    return "\n".join(f"--- {number} ---\n{text}\n" for number, text in enumerate(texts, 1))


def held_out_figures(
    model: GenerativeModel,
    windows: Tensor,
    *,
    policy: Policy,
    seed: int = 0,
    seconds: float = math.inf,
) -> Mapping[str, Measured]:
    """The means over windows, as many as the seconds allow, with bits beside nats."""
    began = perf_counter()
    parts: list[Mapping[str, Tensor]] = []
    with policy.applied():
        for number, part in enumerate(windows.split(BATCH)):
            if parts and perf_counter() - began > seconds:
                break
            parts.append(model.held_out_figures(part, seed=seed + number))
    found = {}
    for name in parts[0]:
        value = torch.cat([part[name].double().cpu() for part in parts])
        error = (value.std() / math.sqrt(len(value))).item() if len(value) > 1 else None
        found[name] = Measured(value.mean().item(), error)
    if PER_TOKEN in found:
        found |= _of_nats(found[PER_TOKEN], model.description)
    return {**found, "windows": Measured(float(sum(len(p[next(iter(p))]) for p in parts)))}


def _of_nats(nats: Measured, description: DataDescription) -> dict[str, Measured]:
    unit = "character" if description.alphabet else "byte"
    error = nats.stderr or 0.0
    perplexity = math.exp(nats.value)
    return {
        f"bits_per_{unit}": Measured(nats.value / math.log(2), error / math.log(2)),
        "perplexity": Measured(perplexity, perplexity * error),
    }
