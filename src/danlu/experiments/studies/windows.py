r"""Attention cut to a window: what is lost by seeing $w$ tokens on each side and no more.

Claimed (kexue.fm/archives/8338; arXiv:2004.05150 §3.1): linear attention to both sides is worse
than softmax, being of low rank, and cut to $|i - j| \le w$ it gains, since the rank comes back;
softmax attention, which reads what is near in any case, loses little by the same cut.
"""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import State
from danlu.data import Source
from danlu.experiments.benchmarks.page import curves
from danlu.experiments.studies.claims import Claim, Study, publish
from danlu.experiments.studies.fitting import Effort
from danlu.experiments.studies.texts import brown, fit_text, held_out
from danlu.generative.masked.masked import MaskedModel, build
from danlu.mixers.linear import LinearAttention
from danlu.mixers.recurrence import Rows, merge_heads
from danlu.mixers.softmax import Softmax, split_heads

LENGTH, DIM, DEPTH, HEADS, BATCH, STEPS = 32, 64, 2, 4, 64, 1200
KINDS = {"softmax": "bidirectional", "linear": "linear-bidirectional"}
CUT, TRAINED, LITTLE = (1, 2, 4, 8, 16), (2, 4, 8), 8
NATS = "nats_per_masked_token"


class Band(LinearAttention):
    """Linear attention to both sides, of each token to those at most `reach` places away.

    Args:
        dim: width of a token.
        heads: number of heads.
        reach: tokens that are seen on each side.
    """

    def __init__(self, dim: int, *, heads: int, reach: int) -> None:
        super().__init__(dim, heads=heads, causal=False)
        self.reach = reach

    @override
    def recur(self, x: Tensor, rows: Rows, state: State) -> tuple[Tensor, State]:
        q, k, v = (split_heads(to(x), self.heads) for to in (self.query, self.key, self.value))
        q, k = self.features.queries(q), self.features.keys(k)
        place = torch.arange(x.shape[1], device=x.device)
        near = (place[:, None] - place).abs() <= self.reach
        given = (q @ k.transpose(-2, -1)) * near
        return self.output(merge_heads(given / given.sum(-1, keepdim=True) @ v)), {}


def run(
    report: Callable[[str], None], *, steps: int = STEPS, folder: Path | None = None
) -> dict[str, Any]:
    """Masked models of two kinds of attention, cut after training and trained in windows."""
    source = brown(LENGTH)
    found: dict[str, dict[str, dict[int, float]]] = {}
    for kind in KINDS:
        whole = _trained(_whole(kind, source), source, steps)
        after = {reach: _nats(cut(whole, reach), source) for reach in CUT}
        after[LENGTH] = _nats(whole, source)
        fresh = partial(_whole, kind, source)
        trained = {r: _nats(_trained(cut(fresh(), r), source, steps), source) for r in TRAINED}
        trained[LENGTH] = after[LENGTH]
        found[kind] = {"cut": after, "trained": trained}
        report(f"{kind}: {found[kind]}")
    return publish(_study(found, steps), report, folder)


def cut(model: MaskedModel, reach: int) -> MaskedModel:
    """The same weights, where a token sees `reach` tokens on each side."""
    made = deepcopy(model)
    for index, layer in enumerate(model.stack.layers):
        if isinstance(layer, Softmax):
            banded = Softmax(DIM, heads=HEADS, causal=False, window=reach + 1)
        elif isinstance(layer, LinearAttention):
            banded = Band(DIM, heads=HEADS, reach=reach)
        else:
            continue
        banded.load_state_dict(layer.state_dict())
        made.stack.layers[index] = banded
    return made


def _whole(kind: str, source: Source) -> MaskedModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        # Sinusoids at the input: a rotation would stand in the numerator of one kind alone.
        model = build(source.description, mixer=KINDS[kind], dim=DIM, depth=DEPTH, heads=HEADS,
                     position="sinusoidal")  # fmt: skip
        # As large as the sinusoids, or what a token is would be lost beside where it stands.
        nn.init.normal_(model.tokens.weight)
    return model


def _trained(model: MaskedModel, source: Source, steps: int) -> MaskedModel:
    fit_text(model, source, Effort(steps=steps, rate=4e-3), batch=BATCH)
    return model


def _nats(model: MaskedModel, source: Source) -> float:
    return held_out(model, source, NATS, windows=1024)


def _study(found: dict[str, dict[str, dict[int, float]]], steps: int) -> Study:
    whole = {kind: row["cut"][LENGTH] for kind, row in found.items()}
    best = {
        kind: min((row["trained"][reach], reach) for reach in TRAINED)
        for kind, row in found.items()
    }
    gap, left = whole["linear"] - whole["softmax"], best["linear"][0] - best["softmax"][0]
    lost = {kind: row["cut"][LITTLE] - whole[kind] for kind, row in found.items()}
    claims = [
        Claim(text="seeing all, linear attention is worse than softmax",
              found=f"{whole['linear']:.3f} against {whole['softmax']:.3f} nats", holds=gap > 0.01),
        Claim(text="trained in a window, linear attention is better than whole",
              found=f"{best['linear'][0]:.3f} nats at ±{best['linear'][1]}",
              holds=best["linear"][0] < whole["linear"] - 0.01),
        Claim(text="and is less far behind softmax", holds=left < gap,
              found=f"{left:+.3f} nats in the best windows, {gap:+.3f} seeing all"),
        Claim(text=f"softmax cut to ±{LITTLE} after training loses little",
              found=", ".join(f"{kind} {value:+.3f} nats" for kind, value in lost.items()),
              holds=lost["softmax"] < 0.05),
    ]  # fmt: skip
    rows = [
        (f"±{reach}" if reach < LENGTH else "all", *(_cell(found, kind, how, reach)
         for kind in KINDS for how in ("cut", "trained")))
        for reach in (*CUT, LENGTH)
    ]  # fmt: skip
    shown = {
        f"{kind}, {how}": ([float(r) for r in sorted(row)], [row[r] for r in sorted(row)])
        for kind, ways in found.items()
        for how, row in ways.items()
    }
    heading = ("window", *(f"{kind}, {how}" for kind in KINDS for how in ("cut after", "trained")))
    return Study(
        name="attention-windows",
        title="Attention cut to a window",
        about=[
            f"Masked character models of the Brown corpus (windows of {LENGTH}, width {DIM}, "
            f"{DEPTH} layers of {HEADS} heads), {steps} steps each from one seed; nats of masked "
            "characters that were held out. Cut after: the model that saw all is run with less. "
            "Trained: it saw no more from the start.",
        ],
        claims=claims,
        tables={"Nats by window": [heading, *rows]},
        pictures={"nats": curves(shown, "tokens on each side", "nats", log=True)},
        figures={"nats": found},
    )


def _cell(found: dict[str, dict[str, dict[int, float]]], kind: str, how: str, reach: int) -> str:
    value = found[kind][how].get(reach)
    return "" if value is None else f"{value:.3f}"
