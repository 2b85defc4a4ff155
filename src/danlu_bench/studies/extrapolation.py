r"""Longer texts than in training, by position encoding.

Claimed (arXiv:2108.12409; arXiv:2306.15595; arXiv:2309.00071; arXiv:2203.16634): learned positions
end where training ended; sinusoidal and rotary ones get worse at once on longer texts; ALiBi does
not; rotary models of one length work at another after interpolation or NTK scaling of their angles,
without training; and no encoding at all extrapolates better than rotary.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from danlu.backbones.sized import Sizes, encoding_of
from danlu.contracts import DanluError
from danlu.data import Source
from danlu.data.text import Windows
from danlu.generative.autoregressive.language import LanguageModel, build
from danlu.positions.base import PositionEncoding
from danlu.positions.ntk import NTKRotary
from danlu_bench.page import curves
from danlu_bench.studies.claims import Claim, Study, publish
from danlu_bench.studies.fitting import Effort
from danlu_bench.studies.texts import brown, fit_text

TRAINED, LENGTHS, WINDOWS = 64, (64, 128, 256, 512), 48
DIM, DEPTH, HEADS, STEPS = 64, 2, 4, 500
NAMES = ("learned", "sinusoidal", "rope", "t5", "alibi", "none")
LAST = 32
"""The tokens at the end of a text over which the loss is a mean."""


def run(
    report: Callable[[str], None], *, steps: int = STEPS, folder: Path | None = None
) -> dict[str, Any]:
    """Character models trained on windows of 64, measured at the end of longer texts."""
    source, found = brown(TRAINED), {}
    longer = {n: _windows(source, n) for n in LENGTHS}
    for name in NAMES:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = build(source.description, dim=DIM, depth=DEPTH, heads=HEADS, position=name)
        fit_text(model, source, Effort(steps=steps))
        found[name] = {n: _loss(model, x) for n, x in longer.items()}
        if name == "rope":
            for kind in ("rope-interpolated", "rope-ntk"):
                found[kind] = {n: _loss(model, x, _scaled(kind, n)) for n, x in longer.items()}
        report(f"{name}: " + ", ".join(f"{n}: {v:.3f}" for n, v in found[name].items()))
    return publish(_study(found, steps), report, folder)


def _windows(source: Source, length: int) -> Tensor:
    """Longer windows of the same held-out pieces."""
    validation = source.validation
    assert isinstance(validation, Windows)
    # A piece of the split is a whole number of windows; long ones are put together from these.
    per, starts = length // TRAINED, validation.starts
    whole = starts[: len(starts) // per * per].unflatten(0, (-1, per))
    joined = whole[whole[:, -1] - whole[:, 0] == (per - 1) * TRAINED][:, 0]
    chosen = joined[torch.linspace(0, len(joined) - 1, WINDOWS).long()]
    return validation.tokens[chosen[:, None] + torch.arange(length)].long()


def _scaled(kind: str, length: int) -> PositionEncoding:
    """Rotary angles for texts so much longer than in training."""
    factor = max(1.0, length / TRAINED)
    if kind == "rope-ntk":
        return NTKRotary(DIM // HEADS, factor=factor)
    sizes = Sizes(dim=DIM, depth=DEPTH, heads=HEADS, length=TRAINED)
    made = encoding_of(kind, sizes)
    return type(made)(DIM // HEADS, factor=factor)  # pyright: ignore[reportCallIssue]


@torch.no_grad()
def _loss(model: LanguageModel, ids: Tensor, position: PositionEncoding | None = None) -> float:
    """Nats of each of the last tokens; infinite where the encoding has no such position."""
    mixers = [layer for layer in model.stack.layers if hasattr(layer, "query")]
    before = [layer.position for layer in mixers]
    if position is not None:
        for layer in mixers:
            layer.position = position
    try:
        first = model.embedding.vector(None, len(ids))[:, None]
        y, _ = model.stack(torch.cat([first, model.tokens(ids[:, :-1])], dim=1))
        logits = model.logits(y[:, -LAST:]).flatten(0, 1)
        return cross_entropy(logits, ids[:, -LAST:].flatten()).item()
    except DanluError:
        return float("inf")
    finally:
        for layer, own in zip(mixers, before, strict=True):
            layer.position = own


def _study(found: Mapping[str, Mapping[int, float]], steps: int) -> Study:
    def rise(name: str, length: int = LENGTHS[-1]) -> float:
        return found[name][length] - found[name][TRAINED]

    names = ", ".join(f"{name} {rise(name):+.2f}" for name in NAMES if name != "learned")
    repaired = min(rise("rope-interpolated", 128), rise("rope-ntk", 128))
    claims = [
        Claim(text="learned positions end with training", found=f"128 tokens: "
              f"{found['learned'][128]}", holds=found["learned"][128] == float("inf")),
        Claim(text="sinusoidal and rotary positions get worse on longer texts, ALiBi does not",
              found=f"nats at 512 against 64: {names}",
              holds=min(rise("sinusoidal"), rise("rope")) > 0.05 > rise("alibi")),
        Claim(text="scaled angles repair a rotary model without training",
              found=f"at 128 NTK {rise('rope-ntk', 128):+.2f}, interpolation "
              f"{rise('rope-interpolated', 128):+.2f}, unchanged {rise('rope', 128):+.2f}",
              holds=repaired < rise("rope", 128)),
        Claim(text="no encoding extrapolates better than rotary",
              found=f"{rise('none'):+.2f} against {rise('rope'):+.2f} at 512",
              holds=rise("none") < rise("rope")),
    ]  # fmt: skip
    rows = [(name, *(f"{v:.3f}" for v in row.values())) for name, row in found.items()]
    shown = {name: ([*map(float, row)], [*row.values()]) for name, row in found.items()
             if name != "learned"}  # fmt: skip
    return Study(
        name="extrapolation",
        title="Longer texts than in training",
        about=[
            f"Character models of the Brown corpus (width {DIM}, {DEPTH} layers, softmax), each "
            f"trained for {steps} steps on windows of {TRAINED} from one seed, then measured on "
            f"the last {LAST} tokens of {WINDOWS} held-out texts of other lengths, in nats.",
        ],
        claims=claims,
        tables={"Nats for each of the last tokens": [("position", *map(str, LENGTHS)), *rows]},
        pictures={"length": curves(shown, "tokens", "nats per character", log=True)},
        figures={"nats": found},
    )
