"""Multi-label losses on 2 x 2 mosaics of Fashion-MNIST, from balanced to rare classes.

Each quarter of a mosaic is a training image at half size, or empty; the classes are (garment,
quarter), 40 in all. Quarters are filled with probability 1, 1/4 and 1/16, so that of 40 classes
4, 1 and 1/4 are right. All losses train the same network with the same steps, batches and rate of
Adam, whose steps do not depend on the scale of a loss. Sets are predicted at each loss's own
threshold. Then ZLPR and binary cross-entropy learn with label smoothing and mixup at the middle
level; probabilities are judged by the Brier score.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, one_hot

from danlu.contracts import CapabilityError, derive_seed
from danlu.data import Examples, Source, open_source
from danlu.evaluation.features.network import FeatureNetwork
from danlu.evaluation.multilabel import MULTILABEL_METRICS
from danlu.losses import MULTILABEL
from danlu.optim import OPTIMIZERS, OptimizerOptions, Scheduled, named_parameters
from danlu_bench.page import curves, table, write_page

STEPS, BATCH, SEEDS, TESTED = 120, 64, (0, 1), 1500
LEVELS = {"4 of 40": 1.0, "1 of 40": 0.25, "1 of 160": 1 / 16}
LOSSES = ("zlpr", "binary-cross-entropy", "focal", "asymmetric", "subset-softmax")
SHOWN = ("mean-average-precision", "macro-f1", "micro-f1", "subset-accuracy", "ranking-loss")
SMOOTHING, MIXING = 0.1, 0.4
OPTIONS = OptimizerOptions(name="adamw", rate=4e-3, warmup=0.1)
QUARTERS = 4


@dataclass(frozen=True, slots=True)
class Mosaics:
    """Mosaics of some examples, made anew for every batch by a generator."""

    examples: Examples
    filled: float

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images `[n, channels, height, width]` and targets `[n, 4 * classes]`."""
        condition = self.examples.ids
        assert condition is not None
        index = torch.randint(len(self.examples), (n * QUARTERS,), generator=generator)
        present = torch.rand(n * QUARTERS, generator=generator) < self.filled
        description = self.examples.description
        tiles = avg_pool2d(self.examples.x(index), 2)
        tiles[~present] = description.low
        top, bottom = tiles.view(n, 2, 2, *tiles.shape[1:]).transpose(0, 1)
        rows = [torch.cat(tuple(half.unbind(1)), -1) for half in (top, bottom)]
        marks = one_hot(condition[index], description.classes) * present[:, None]
        return torch.cat(rows, -2), marks.view(n, -1).float()


Change = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


def plain(x: Tensor, t: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """No change."""
    return x, t


def smoothed(x: Tensor, t: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Targets a tenth of the way to the base rate."""
    return x, torch.lerp(t, t.mean().expand_as(t), SMOOTHING)


def mixed(x: Tensor, t: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Convex combinations of images and of targets; shares from a symmetric Beta law."""
    # Two Gamma draws from the generator through torch's global state, which is put back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
        share = torch.distributions.Beta(MIXING, MIXING).sample((len(x), 1))
    other = torch.randperm(len(x), generator=generator)
    return torch.lerp(x[other], x, share[..., None, None]), torch.lerp(t[other], t, share)


CHANGES: dict[str, Change] = {"plain": plain, "label smoothing": smoothed, "mixup": mixed}


def run(
    report: Callable[[str], None],
    *,
    steps: int = STEPS,
    tested: int = TESTED,
    data: str = "fashion-mnist",
    folder: Path | None = None,
) -> dict[str, Any]:
    """Train every loss at every level, then with soft targets, and write the page."""
    source = open_source(data)
    levels: dict[str, dict[str, dict[str, float]]] = {}
    for level, filled in LEVELS.items():
        levels[level] = {}
        for name in LOSSES:
            row = _mean_of(source, filled, name, plain, steps, tested)
            levels[level][name] = row
            report(f"{level}, {name}: " + ", ".join(f"{key} {row[key]:.3f}" for key in SHOWN[:2]))
    middle = list(LEVELS.values())[1]
    soft = {
        f"{name}, {change}": _mean_of(source, middle, name, CHANGES[change], steps, tested)
        for name in LOSSES[:2]
        for change in CHANGES
    }
    page = write_page("multilabel", _page(levels, soft, steps), _pictures(levels), folder)
    report(f"written: {page}")
    return {"levels": levels, "soft": soft}


def _mean_of(
    source: Source, filled: float, name: str, change: Change, steps: int, tested: int
) -> dict[str, float]:
    rows = []
    for seed in SEEDS:
        network = _train(Mosaics(source.training, filled), name, change, steps, seed)
        rows.append(_test(network, Mosaics(source.test, filled), name, tested))
    return {key: mean(row[key] for row in rows) for key in rows[0]}


def _train(mosaics: Mosaics, name: str, change: Change, steps: int, seed: int) -> FeatureNetwork:
    generator = torch.Generator().manual_seed(derive_seed(seed, "mosaics"))
    x, t = mosaics.draw(2, generator)
    network = FeatureNetwork.seeded(seed, tuple(x.shape[1:]), t.shape[1]).train()
    fit(network, lambda: change(*mosaics.draw(BATCH, generator), generator), name, steps)
    return network.eval()


def fit(
    network: nn.Module,
    draw: Callable[[], tuple[Tensor, Tensor]],
    name: str,
    steps: int,
    options: OptimizerOptions = OPTIONS,
) -> None:
    """Train a network on batches of inputs and targets with a loss, in place."""
    optimizer = OPTIMIZERS["adamw"].build(named_parameters(network, [network]), options)
    scheduled, loss = Scheduled(optimizer, options), MULTILABEL[name].build()
    for step in range(steps):
        x, t = draw()
        optimizer.zero_grad()
        loss(network(x), t).mean().backward()
        scheduled.set(step / steps)
        optimizer.step()


@torch.no_grad()
def _test(network: FeatureNetwork, mosaics: Mosaics, name: str, tested: int) -> dict[str, float]:
    generator = torch.Generator().manual_seed(derive_seed(0, "test"))
    x, t = mosaics.draw(tested, generator)
    return judge(torch.cat([network(part) for part in x.split(500)]), t, name)


def judge(logits: Tensor, t: Tensor, name: str) -> dict[str, float]:
    """The metrics of scores and of the sets that a loss predicts from them."""
    loss, right, logits = MULTILABEL[name].build(), t > 0, logits.double()
    predicted = loss.predict(logits)
    row = {key: MULTILABEL_METRICS[key].target(logits, predicted, right) for key in SHOWN}
    try:
        row["brier"] = (loss.probability(logits) - t).square().sum(1).mean().item()
    except CapabilityError:
        row["brier"] = float("nan")
    return row


def _page(
    levels: dict[str, dict[str, dict[str, float]]], soft: dict[str, dict[str, float]], steps: int
) -> list[str]:
    lines = [
        "# Multi-label losses on mosaics",
        "\nCommand: `OMP_NUM_THREADS=1 danlu bench multilabel`. Mosaics of 2 × 2 Fashion-MNIST "
        f"images; 40 classes (garment, quarter); {steps} steps of {BATCH} mosaics, rate "
        f"{OPTIONS.rate:g} of AdamW for all, mean of {len(SEEDS)} seeds, mosaics of the test "
        "split. Sets are predicted at each loss's own threshold; focal and asymmetric loss have "
        "the numbers of their papers. Which of 1,000 words occur: see "
        "[word occurrence](word-occurrence.md). The runs are short: the steps that a loss spends "
        "on learning that classes are rare count as well.",
        *CLAIM,
        *verdict(levels),
    ]
    for level, rows in levels.items():
        lines += [f"\n## {level} classes right\n", *rows_of(rows, SHOWN)]
    lines += [
        "\n## Soft targets, 1 of 40 classes right\n",
        f"Label smoothing of {SMOOTHING:g} towards the base rate; mixup with shares from "
        f"Beta({MIXING:g}, {MIXING:g}). The Brier score sums squared errors of probabilities over "
        "the classes; they are σ(2s) for ZLPR and σ(s) for binary cross-entropy.",
        *rows_of(soft, (*SHOWN[:2], "brier")),
        _soft_verdict(soft),
    ]
    return lines


CLAIM = (
    "\nkexue.fm/archives/7359 and arXiv:2208.02955 hold that ZLPR needs no weights against "
    "imbalance and is at least as good as binary cross-entropy and focal loss, better where right "
    "classes are rare. Here:\n",
)


def verdict(levels: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """Where ZLPR stands in F1, against the best of the others."""
    lines = []
    for level, rows in levels.items():
        parts = []
        for key in ("macro-f1", "micro-f1"):
            others = {name: row[key] for name, row in rows.items() if name != "zlpr"}
            best = max(others, key=others.__getitem__)
            parts.append(
                f"{key} {rows['zlpr'][key]:.3f}, best other {best} with {others[best]:.3f}, "
                f"binary cross-entropy {others['binary-cross-entropy']:.3f}"
            )
        lines.append(f"- {level}: ZLPR {'; '.join(parts)}.")
    return lines


def _soft_verdict(soft: dict[str, dict[str, float]]) -> str:
    parts = []
    for name in LOSSES[:2]:
        rows = {change: soft[f"{name}, {change}"] for change in CHANGES}
        parts.append(
            f"with {name}, the Brier score goes from {rows['plain']['brier']:.3f} to "
            + " and ".join(
                f"{rows[change]['brier']:.3f} ({change})" for change in CHANGES if change != "plain"
            )
        )
    return (
        "kexue.fm/archives/9064 gives ZLPR its soft form so that both can be used: "
        + "; ".join(parts)
        + "."
    )


def rows_of(rows: dict[str, dict[str, float]], keys: tuple[str, ...]) -> list[str]:
    """A table of losses against metrics."""
    cells = [(name, *(f"{row[key]:.4f}" for key in keys)) for name, row in rows.items()]
    return table(("loss", *(key.replace("-", " ") for key in keys)), cells)


def _pictures(levels: dict[str, dict[str, dict[str, float]]]) -> dict[str, Any]:
    shares = [filled / 10 for filled in LEVELS.values()]
    return {
        key: curves(
            {name: (shares, [rows[name][key] for rows in levels.values()]) for name in LOSSES},
            "share of classes that are right", key.replace("-", " "), log=True,
        )
        for key in SHOWN[:2]
    }  # fmt: skip
