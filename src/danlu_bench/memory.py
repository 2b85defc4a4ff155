"""Memory of a training step over time, under each way of recomputing, beside its CPU time.

Memory is what torch's allocator holds beyond the start of the step, from the profiler's events;
time is the least of several rounds in which the ways take turns, measured in CPU seconds without
the profiler.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu
from torch.profiler import ProfilerActivity, profile

from danlu.backbones.mlp import MLP
from danlu.backbones.unet import UNet
from danlu.evaluation.canvas import Figure
from danlu.layers.attention import attend
from danlu.layers.recompute import (
    Reversible,
    Segment,
    least_memory,
    measure,
    peak,
    recompute,
    save_all,
    save_products,
    uniform,
)
from danlu.training.recomputing import blocks_of, once, saved_bytes
from danlu_bench.page import points, table, write_page

ROUNDS = 2
DEPTH, DIM, HEADS, BATCH, LENGTH = 16, 256, 4, 8, 256
SEGMENTS = (1, 2, 4, 8)
MOST_MEMORY, MOST_TIME, MOST_ERROR = 0.17, 1.40, 0.15

Trace = tuple[list[float], list[float]]
"""Milliseconds and MiB."""


@dataclass(frozen=True, slots=True)
class Way:
    """A step with its recomputing, and the bytes the planner expects of it."""

    name: str
    step: Callable[[], None]
    around: Callable[[], AbstractContextManager[Any]] = nullcontext
    predicted: int | None = None


def run(report: Callable[[str], None], *, folder: Path | None = None) -> dict[str, Any]:
    """Measure on this machine, and write the page; `holds` says whether promises are kept."""
    torch.manual_seed(0)
    models: dict[str, list[dict[str, Any]]] = {}
    traces: dict[str, Trace] = {}
    for name, ways in (
        ("16 transformer blocks", _transformer()),
        ("U-Net, 28 × 28", _chain(*_unet())),
        ("MLP, 24 blocks", _chain(*_mlp())),
    ):
        rows, found = _measure(ways)
        models[name] = rows
        traces = traces or found
        report(f"{name}: peak MiB, planner's MiB, share of plain memory, share of plain time")
        for row in rows:
            planned = "" if row["predicted"] is None else f"{row['predicted']:.0f}"
            report(
                f"  {row['name']:<18}{row['peak']:8.0f}{planned:>8}"
                f"{row['memory']:8.3f}{row['time']:8.2f}"
            )
    best = next(row for row in next(iter(models.values())) if row["name"] == "planned")
    planned = [row for rows in models.values() for row in rows if row["name"] == "planned"]
    error = max(abs(row["predicted"] / row["peak"] - 1) for row in planned)
    report(f"planned: {best['memory']:.3f} of the memory, {best['time']:.2f} of the time")
    report(f"largest error of the planner's prediction: {error:.1%}")
    page = write_page("memory", _page(models), _pictures(models, traces), folder)
    report(f"written: {page}")
    holds = best["memory"] <= MOST_MEMORY and best["time"] <= MOST_TIME and error <= MOST_ERROR
    return {"models": models, "error": error, "planned": best, "holds": holds}


def _page(models: dict[str, list[dict[str, Any]]]) -> list[str]:
    lines = [
        "# Memory of a training step",
        "\nCommand: `OMP_NUM_THREADS=1 danlu bench memory` (one thread, float32, random data, "
        "seed 0). Memory is what torch's allocator holds beyond the start of a step; time is the "
        f"least of {ROUNDS} rounds in CPU seconds; both also as shares of those of saving all. "
        "Gradients of every recomputed row equal the plain ones bit for bit (`danlu check "
        "recompute`); the reversible stack's agree to rounding.",
        "\narXiv:1604.06174 trades a third more time for memory that grows with the square root "
        "of the depth, where a block's inside is as large as its border. In a transformer the "
        "inside is many times larger: one segment for each block is best, and a share of the "
        "plain memory is what is left.",
    ]
    for name, rows in models.items():
        cells = [
            (row["name"], f"{row['peak']:.0f} MiB",
             "" if row["predicted"] is None else f"{row['predicted']:.0f} MiB",
             f"{row['memory']:.3f}", f"{row['time']:.2f}")
            for row in rows
        ]  # fmt: skip
        heading = ("way", "peak", "planner's prediction", "memory", "time")
        lines += [f"\n## {name}", *table(heading, cells)]
    return [
        *lines,
        "The U-Net keeps its skip connections whatever is recomputed, hence its smaller gain. One "
        "segment over everything saves nothing: its inside is there in full when backward begins.",
    ]


def _pictures(
    models: dict[str, list[dict[str, Any]]], traces: dict[str, Trace]
) -> dict[str, Figure]:
    rows = next(iter(models.values()))
    against = {row["name"]: (row["time"], row["memory"]) for row in rows}
    return {
        "over-time": _draw(traces),
        "against-time": points(against, "share of plain time", "share of plain memory", log=False),
    }


class Attention(nn.Module):
    """A residual branch: norm, softmax attention, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = nn.LayerNorm(DIM), nn.Dropout(0.1)
        self.enter, self.leave = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)

    def forward(self, h: Float[Tensor, "batch length dim"]) -> Float[Tensor, "batch length dim"]:
        """What is added to the state."""
        q, k, v = self.enter(self.norm(h)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        return self.drop(self.leave(attend(q, k, v).transpose(1, 2).flatten(2)))


class FeedForward(nn.Module):
    """A residual branch: norm, two maps, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = nn.LayerNorm(DIM), nn.Dropout(0.1)
        self.enter, self.leave = nn.Linear(DIM, 4 * DIM), nn.Linear(4 * DIM, DIM)

    def forward(self, h: Float[Tensor, "batch length dim"]) -> Float[Tensor, "batch length dim"]:
        """What is added to the state."""
        return self.drop(self.leave(gelu(self.enter(self.norm(h)))))


class Block(nn.Module):
    """Both branches."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.feed_forward = Attention(), FeedForward()

    def forward(self, h: Float[Tensor, "batch length dim"]) -> Float[Tensor, "batch length dim"]:
        """The next state."""
        h = h + self.attention(h)
        return h + self.feed_forward(h)


def _transformer() -> list[Way]:
    blocks = nn.ModuleList(Block() for _ in range(DEPTH))
    x = torch.randn(BATCH, LENGTH, DIM)

    def forward() -> Tensor:
        h = x
        for block in blocks:
            h = block(h)
        return h.square().mean()

    members = cast(Sequence[Block], blocks)
    reversible = Reversible([(block.attention, block.feed_forward) for block in members])

    def reversed_step() -> None:
        y1, y2 = reversible(x, x)
        (y1.square().mean() + y2.square().mean()).backward()
        blocks.zero_grad()

    return [*_chain(blocks, forward, segments=SEGMENTS), Way("reversible", reversed_step)]


def _unet() -> tuple[nn.Module, Callable[[], Tensor]]:
    network = UNet(1, width=64, multipliers=(1, 2, 2), blocks=2, features=64)
    x, features = torch.randn(16, 1, 28, 28), torch.randn(16, 64)
    return network, lambda: (network(x, features) - x).square().mean()


def _mlp() -> tuple[nn.Module, Callable[[], Tensor]]:
    network = MLP(16, 16, width=256, depth=24)
    x = torch.randn(4096, 16)
    return network, lambda: (network(x) - x).square().mean()


def _chain(
    model: nn.Module, forward: Callable[[], Tensor], *, segments: Sequence[int] = ()
) -> list[Way]:
    blocks = once(blocks_of(model), forward)
    costs = measure(blocks, forward)
    n = len(costs)
    # What the model saves between its blocks, and the gradients of the maps around them.
    rest = saved_bytes(model, forward) - sum(cost.saved + cost.boundary for cost in costs)
    rest += sum(p.nbytes for p in model.parameters()) - sum(cost.gradients for cost in costs)

    def step() -> None:
        forward().backward()
        model.zero_grad()  # at the end, so that every step makes its gradients anew

    def way(name: str, plan: list[Segment], **options: Any) -> Way:
        predicted = None if options else rest + peak(costs, plan)
        return Way(name, step, lambda: recompute(blocks, plan, **options), predicted)

    return [
        way("save all", save_all(n)),
        *(way(f"{k} segment{'s' * (k > 1)}", uniform(n, k)) for k in segments),
        way("planned", least_memory(costs, cuts=range(n + 1))),
        way("save products", uniform(n, n), contexts=save_products),
    ]


def _measure(ways: Sequence[Way]) -> tuple[list[dict[str, Any]], dict[str, Trace]]:
    seconds: dict[str, list[float]] = {way.name: [] for way in ways}
    for _ in range(ROUNDS):
        for way in ways:
            with way.around():
                began = process_time()
                way.step()
                seconds[way.name].append(process_time() - began)
    traces = {}
    for way in ways:
        with way.around():
            traces[way.name] = allocated(way.step)
    plain = ways[0].name
    rows = [
        {
            "name": way.name,
            "peak": max(traces[way.name][1]),
            "predicted": None if way.predicted is None else way.predicted / 2**20,
            "memory": max(traces[way.name][1]) / max(traces[plain][1]),
            "time": min(seconds[way.name]) / min(seconds[plain]),
        }
        for way in ways
    ]
    return rows, traces


def allocated(run: Callable[[], Any]) -> Trace:
    """Memory that torch holds beyond the start while `run` goes on."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events: Any = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    times, held, total = [0.0], [0.0], 0
    for nanoseconds, size in changes:
        total += size
        times.append((nanoseconds - changes[0][0]) / 1e6)
        held.append(total / 2**20)
    return times, held


def _draw(traces: dict[str, Trace]) -> Figure:
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, (times, held) in traces.items():
        share = [100 * time / times[-1] for time in times]
        axes.plot(share, held, drawstyle="steps-post", label=name)
    axes.set_xlabel("share of the step's time, %")
    axes.set_ylabel("memory held, MiB")
    axes.set_title(f"One training step of {DEPTH} transformer blocks")
    axes.legend(frameon=False)
    return figure
