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
from torch import Tensor
from typing_extensions import override

from danlu.contracts import State
from danlu.data import Source
from danlu.generative.masked.masked import MaskedModel, build
from danlu.mixers.linear import LinearAttention
from danlu.mixers.recurrence import Rows, merge_heads
from danlu.mixers.softmax import Softmax, split_heads
from danlu_bench.page import curves
from danlu_bench.studies.claims import Claim, Study, publish
from danlu_bench.studies.fitting import Effort
from danlu_bench.studies.texts import brown, fit_text, held_out

LENGTH, DIM, DEPTH, HEADS, BATCH, STEPS = 32, 64, 2, 8, 64, 800
FIRST, WITHIN = 400, 4
"""Steps of the start that all windows of a kind share, and the window of these steps."""
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
        train = partial(_trained, source=source)
        scratch = train(_whole(kind, source), steps=min(FIRST, steps))
        start = train(cut(_whole(kind, source), WITHIN), steps=min(FIRST, steps))
        whole = train(_widened(start, kind, source), steps=steps, seed=1)
        after = {reach: _nats(cut(whole, reach), source) for reach in CUT}
        after[LENGTH] = _nats(whole, source)
        trained = {r: _nats(train(cut(start, r), steps=steps, seed=1), source) for r in TRAINED}
        trained[LENGTH] = after[LENGTH]
        starts = {LENGTH: _nats(scratch, source), WITHIN: _nats(start, source)}
        found[kind] = {"cut": after, "trained": trained, "start": starts}
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
        # Positions at the input: a rotation would stand in the numerator of one kind alone.
        return build(source.description, mixer=KINDS[kind], dim=DIM, depth=DEPTH, heads=HEADS,
                     position="learned")  # fmt: skip


def _widened(model: MaskedModel, kind: str, source: Source) -> MaskedModel:
    """The same weights, where a token sees all."""
    made = _whole(kind, source)
    made.load_state_dict(model.state_dict())
    return made


def _trained(model: MaskedModel, *, source: Source, steps: int, seed: int = 0) -> MaskedModel:
    fit_text(model, source, Effort(steps=steps, rate=4e-3, seed=seed), batch=BATCH)
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
        if how != "start"
    }
    told = ", ".join(f"{row['start'][LENGTH]:.3f}" for row in found.values())
    begun = ", ".join(f"{row['start'][WITHIN]:.3f}" for row in found.values())
    heading = ("window", *(f"{kind}, {how}" for kind in KINDS for how in ("cut after", "trained")))
    return Study(
        name="attention-windows",
        title="Attention cut to a window",
        about=[
            f"Masked character models of the Brown corpus (windows of {LENGTH}, width {DIM}, "
            f"{DEPTH} layers of {HEADS} heads); nats of masked characters that were held out. "
            f"All of a kind start from one model that {FIRST} steps taught within ±{WITHIN} "
            f"({begun} nats for {' and '.join(found)}), since as many steps with all in sight "
            f"teach hardly more than the frequencies of letters ({told}); {steps} steps follow. "
            "Cut after: the model that saw all in these is run with less. Trained: it saw no more.",
        ],
        claims=claims,
        tables={"Nats by window": [heading, *rows]},
        pictures={"nats": curves(shown, "tokens on each side", "nats", log=True)},
        figures={"nats": found},
    )


def _cell(found: dict[str, dict[str, dict[int, float]]], kind: str, how: str, reach: int) -> str:
    value = found[kind][how].get(reach)
    return "" if value is None else f"{value:.3f}"
