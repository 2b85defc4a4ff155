r"""Recall: which layers find again what stood with a key, with one state size for all.

Claimed (arXiv:2312.04927; arXiv:2402.18668): given pairs of keys and values and then some of the
keys, attention answers at any width; layers with a state of fixed size need a wider state for more
pairs, those whose state does not depend on the input nearly fail, and the delta rule recalls most
among recurrent ones.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from danlu.backbones.named import StackOptions, stack_of
from danlu.backbones.sized import Sizes
from danlu.contracts import derive_seed
from danlu.experiments.studies.claims import Claim, Study, publish
from danlu.experiments.studies.fitting import Effort, fit

NAMES = ("softmax", "linear", "retention", "mamba2", "gated-delta", "rwkv6", "s4d", "lstm")
FIXED, RECURRENT = ("s4d",), ("linear", "retention", "mamba2", "rwkv6", "s4d", "lstm")
KEYS = VALUES = 32
DIM, DEPTH, HEADS, BATCH, STEPS, TESTS = 64, 2, 2, 64, 600, 512
PAIRS = (4, 8, 16)


class Recaller(nn.Module):
    """A stack over ids, with two kinds of token: keys, then values."""

    def __init__(self, mixer: str, length: int) -> None:
        super().__init__()
        sizes = Sizes(dim=DIM, depth=DEPTH, heads=HEADS, length=length)
        self.tokens = nn.Embedding(KEYS + VALUES, DIM)
        self.stack = stack_of(sizes, StackOptions(mixer=mixer))
        self.logits = nn.Linear(DIM, KEYS + VALUES)

    def forward(self, ids: Int[Tensor, "batch length"]) -> Tensor:
        """What follows each token."""
        return self.logits(self.stack(self.tokens(ids))[0])


def run(
    report: Callable[[str], None], *, steps: int = STEPS, folder: Path | None = None
) -> dict[str, Any]:
    """Accuracy of eight layers at recalling 4, 8 and 16 pairs, after the same number of steps."""
    found: dict[str, dict[int, float]] = {}
    seconds: dict[str, float] = {}
    for name in NAMES:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = Recaller(name, 4 * max(PAIRS))
        _, seconds[name] = fit(model, partial(_loss, model), Effort(steps=steps, rate=3e-3))
        found[name] = {pairs: _accuracy(model, pairs) for pairs in PAIRS}
        report(f"{name}: " + ", ".join(f"{n} pairs {v:.1%}" for n, v in found[name].items()))
    most = {name: row[PAIRS[-1]] for name, row in found.items()}
    told = ", ".join(f"{name} {value:.0%}" for name, value in most.items())
    claims = [
        Claim(text="attention recalls all pairs", found=f"softmax {most['softmax']:.1%} of 16",
              holds=most["softmax"] > 0.95),
        Claim(text="layers with a state of fixed size recall less", found=told,
              holds=max(most[name] for name in RECURRENT) < most["softmax"]),
        Claim(text="of these the delta rule recalls most",
              found=f"gated-delta {most['gated-delta']:.1%}",
              holds=most["gated-delta"] >= max(most[name] for name in RECURRENT)),
        Claim(text="a state that does not depend on the input nearly fails",
              found=f"s4d {most['s4d']:.1%}, chance {1 / VALUES:.1%}", holds=most["s4d"] < 0.25),
    ]  # fmt: skip
    rows = [
        (name, *(f"{value:.1%}" for value in row.values()), f"{seconds[name]:.0f}")
        for name, row in found.items()
    ]
    study = Study(
        name="recall",
        title="Recall of pairs",
        about=[
            f"A text of pairs, key and value out of {KEYS} each, then all keys again in another "
            f"order, each followed by its value. Stacks of {DEPTH} layers of width {DIM} train for "
            f"{steps} steps on texts of 4 to 16 pairs, from one seed; the figure is the share of "
            f"right values in {TESTS} new texts. Seconds are CPU time of training.",
        ],
        claims=claims,
        tables={"Accuracy": [("layer", *(f"{n} pairs" for n in PAIRS), "seconds"), *rows]},
        pictures={},
        figures={"accuracy": found, "seconds": seconds},
    )
    return publish(study, report, folder)


def texts(pairs: int, count: int, seed: int) -> Int[Tensor, "count length"]:
    """Key, value, ..., then every key with its value in another order."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(3, count, KEYS, generator=generator)
    keys = draws[0].argsort(1)[:, :pairs]
    values = KEYS + (draws[1][:, :pairs] * VALUES).long()
    order = draws[2][:, :pairs].argsort(1)
    first = torch.stack([keys, values], dim=2).flatten(1)
    again = torch.stack([keys.gather(1, order), values.gather(1, order)], dim=2).flatten(1)
    return torch.cat([first, again], dim=1)


def _asked(model: nn.Module, ids: Tensor, pairs: int) -> tuple[Tensor, Tensor]:
    """What is said after each key of the second half, and the values that stand there."""
    logits = model(ids[:, :-1])[:, 2 * pairs :: 2]
    return logits, ids[:, 2 * pairs + 1 :: 2]


def _loss(model: nn.Module, step: int) -> Tensor:
    pairs = PAIRS[step % len(PAIRS)]
    logits, wanted = _asked(model, texts(pairs, BATCH, derive_seed(0, "recall", step)), pairs)
    return cross_entropy(logits.flatten(0, 1), wanted.flatten())


@torch.no_grad()
def _accuracy(model: nn.Module, pairs: int) -> float:
    logits, wanted = _asked(model, texts(pairs, TESTS, derive_seed(1, "recall", pairs)), pairs)
    return (logits.argmax(2) == wanted).double().mean().item()
