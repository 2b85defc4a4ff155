r"""Language models of five kinds at equal parameters and equal CPU time.

Claimed (kexue.fm/archives/9554): on language models of one size, gated attention units come before
softmax attention, RWKV, LRU and SLRU, in this order, at 128 and at 512 tokens, and recurrent ones
fall further behind as texts get longer. (kexue.fm/archives/8934): two gated attention units of one
head do what a block of attention and feed-forward does, at no more time and memory.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from danlu.contracts import Progress
from danlu.data import ExampleStream, Source
from danlu.generative.autoregressive.language import LanguageModel, build
from danlu_bench.memory import allocated
from danlu_bench.studies.claims import Claim, Study, publish
from danlu_bench.studies.fitting import Effort, count, sized
from danlu_bench.studies.texts import brown, fit_text, held_out

ORDER = ("gau", "softmax", "rwkv4", "lru", "slru")
DEPTHS = {"gau": 4}
"""Two units stand for a block of two layers; all others have so many blocks."""
DEPTH, HEADS, WIDTHS = 2, 4, range(32, 257, 16)
PARAMETERS, LENGTHS, SECONDS, TOKENS = 250_000, (128, 512), 60.0, 2048
NATS = "nats_per_token"


def run(
    report: Callable[[str], None], *, seconds: float = SECONDS, folder: Path | None = None
) -> dict[str, Any]:
    """Five character models with as many parameters and CPU seconds, on two lengths of text."""
    found: dict[str, dict[str, float]] = {}
    for length in LENGTHS:
        source = brown(length)
        for name in ORDER:
            model = sized(partial(_made, name, source), WIDTHS, PARAMETERS)
            effort, batch = Effort(steps=10**6, seconds=seconds), TOKENS // length
            steps, spent = fit_text(model, source, effort, batch=batch)
            found[f"{name}, {length}"] = {
                "nats": held_out(model, source, NATS, windows=64 * 128 // length * 2),
                "parameters": float(count(model)),
                "steps": float(steps),
                "milliseconds": 1e3 * spent / max(1, steps),
                "mebibytes": peak(model, source, batch),
            }
            report(f"{name}, {length}: {found[f'{name}, {length}']}")
    return publish(_study(found, seconds), report, folder)


def _made(name: str, source: Source, dim: int) -> LanguageModel:
    depth = DEPTHS.get(name, DEPTH)
    return build(source.description, mixer=name, dim=dim, depth=depth, heads=HEADS)


def peak(model: LanguageModel, source: Source, batch: int) -> float:
    """MiB that a training step holds at most, beside the parameters."""
    drawn = next(ExampleStream(source.training, source.description, batch=batch, seed=0))
    progress = Progress(step=0, fraction=0.0, seed=0)
    model.zero_grad(set_to_none=True)

    def step() -> None:
        model.loss(drawn, "model", progress).total.backward()

    return max(allocated(step)[1])


def _claims(found: dict[str, dict[str, float]]) -> list[Claim]:
    """What the figures say."""
    nats = {
        length: {name: found[f"{name}, {length}"]["nats"] for name in ORDER} for length in LENGTHS
    }
    orders = {length: sorted(ORDER, key=row.__getitem__) for length, row in nats.items()}
    behind = {
        length: min(row["lru"], row["slru"], row["rwkv4"]) - row["softmax"]
        for length, row in nats.items()
    }
    speed, memory = (
        {n: found[f"gau, {n}"][figure] / found[f"softmax, {n}"][figure] for n in LENGTHS}
        for figure in ("milliseconds", "mebibytes")
    )
    told = "; ".join(f"{length}: {' < '.join(row)}" for length, row in orders.items())
    return [
        Claim(text="GAU, softmax, RWKV, LRU, SLRU, in this order", found=f"by nats, {told}",
              holds=all(tuple(row) == ORDER for row in orders.values())),
        Claim(text="recurrent models fall further behind softmax as texts get longer",
              found=", ".join(f"{n} tokens: {gap:+.3f} nats" for n, gap in behind.items()),
              holds=behind[LENGTHS[1]] > behind[LENGTHS[0]]),
        Claim(text="two gated attention units take no more time than attention and feed-forward",
              found=", ".join(f"{n} tokens: {ratio:.2f} of a step" for n, ratio in speed.items()),
              holds=max(speed.values()) <= 1.05),
        Claim(text="and no more memory",
              found=", ".join(f"{n} tokens: {ratio:.2f} of a step" for n, ratio in memory.items()),
              holds=max(memory.values()) <= 1.0),
        Claim(text="and are the better model in equal time",
              found=", ".join(f"{n} tokens: {row['gau']:.3f} against {row['softmax']:.3f}"
                              for n, row in nats.items()),
              holds=all(row["gau"] < row["softmax"] for row in nats.values())),
    ]  # fmt: skip


def _study(found: dict[str, dict[str, float]], seconds: float) -> Study:
    rows = [
        (name, f"{row['nats']:.3f}", f"{row['parameters']:,.0f}", f"{row['steps']:,.0f}",
         f"{row['milliseconds']:.0f}", f"{row['mebibytes']:.0f}")
        for name, row in found.items()
    ]  # fmt: skip
    return Study(
        name="language-models",
        title="Language models of five kinds",
        about=[
            f"Character models of the Brown corpus with about {PARAMETERS:,} parameters, each with "
            f"{seconds:.0f} CPU seconds of one thread on batches of {TOKENS:,} tokens, from one "
            "seed and at one rate. The published order is of larger models trained to the end; "
            "here speed decides as well. MiB are what torch's allocator holds at most in a step of "
            "training, beside the parameters.",
        ],
        claims=_claims(found),
        tables={
            "Held out": [
                ("model, tokens", "nats", "parameters", "steps", "ms a step", "MiB a step"),
                *rows,
            ]
        },
        pictures={},
        figures={"found": found},
    )
