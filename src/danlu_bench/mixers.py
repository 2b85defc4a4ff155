"""How quick the mixers are beside others: Mamba, recurrences in chunks, a transformer layer.

Every comparison is between two ways of this process, in turns: medians, and the median of the
ratios. Beside them stand what a mixer's own growth must obey: the time of Mamba when the length is
doubled, what it keeps for the gradient, and what a `step` costs far from the start. Where a promise
is not kept, the operations in which our way spends its time are named.
"""

from collections.abc import Callable, Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch.autograd.graph import saved_tensors_hooks

from danlu.contracts import DanluError
from danlu.layers.kernels import compiled
from danlu.mixers import MIXERS
from danlu.mixers.mamba import Mamba
from danlu_bench.mixer_cases import DIM, Alone, Case, cases, trained
from danlu_bench.page import curves, table, write_page
from danlu_bench.side_by_side import Times, Way, costliest, in_turns, share_of_products

DOUBLED = (1024, 2048, 4096)
MOST_GROWTH = 2.2
RECURRENT = (
    "linear", "retention", "mamba2", "gated-linear", "gated-delta", "mamba", "rwkv4", "rwkv6",
    "lru", "s4d", "s4", "lstm",
)  # fmt: skip
STEP_DIM, EARLY, LATE, PIECE = 64, 10, 100_000, 4000
MOST_STEP = 1.05
STEP_ROUNDS = (3, 100)
"""A difference of 5 % takes more rounds to be seen than one of two."""
TORCH, KERNELS, THEIRS = "torch", "kernels", "theirs"

Report = Callable[[str], None]
Row = dict[str, Any]


def run(
    report: Report, *, compared: Iterable[Case] | None = None, folder: Path | None = None
) -> dict[str, Any]:
    """Measure on this machine and write the page; `holds` says whether all promises are kept."""
    rows = [_compare(case, report) for case in (cases() if compared is None else compared)]
    growth, steps = mamba_growth(report), step_costs(report)
    page = write_page("mixers", _page(rows, growth, steps), _pictures(rows), folder)
    report(f"written: {page}")
    verdicts = [row["holds"] for row in (*rows, growth, *steps) if row["holds"] is not None]
    return {"rows": rows, "mamba": growth, "steps": steps, "holds": all(verdicts)}


def _compare(case: Case, report: Report) -> Row:
    """Ours in torch, ours with kernels where it has them, and theirs, in turns."""
    row: Row = {
        "group": case.group, "what": case.what, "peer": case.peer, "length": case.length,
        "goal": case.goal, "ratios": {}, "holds": None, "spent": [], "products": None,
    }  # fmt: skip
    ours = {TORCH: case.ours}
    if case.kernels and _have_kernels():
        ours[KERNELS] = with_kernels(case.ours)
    ways = ours if case.theirs is None else {**ours, THEIRS: case.theirs}
    times = in_turns(ways)
    row["seconds"] = {name: times.median(name) for name in ways}
    shown = f"{case.peer} is not installed"
    if case.theirs is not None:
        row["ratios"] = {name: times.ratio(THEIRS, name) for name in ours}
        best = max(row["ratios"], key=row["ratios"].__getitem__)
        row["holds"] = row["ratios"][best] >= case.goal
        ratios = ", ".join(f"{name} {ratio:.2f} x" for name, ratio in row["ratios"].items())
        shown = f"{1e3 * row['seconds'][THEIRS]:9.2f} ms  {ratios} (goal {case.goal:g})"
        if not row["holds"]:
            row["spent"] = costliest(ours[best])
            # A counter of operations cannot look into a kernel, whose products are those of torch.
            row["products"] = share_of_products(case.ours, times.median(best), case.dtype)
            shown += "  missed: " + _spent(row)
    report(
        f"{case.what:<17}{case.length:>6}{1e3 * row['seconds'][TORCH]:9.2f} ms  "
        f"{case.peer:<24}{shown}"
    )
    return row


def with_kernels(way: Way) -> Way:
    """The same with the kernels in use."""

    def run() -> None:
        with compiled():
            way()

    return run


@cache
def _have_kernels() -> bool:
    """Whether they can be built here; they need a compiler."""
    try:
        with compiled():
            return True
    except DanluError:
        return False


def mamba_growth(report: Report) -> Row:
    """What twice the length costs, and what is kept for the gradient at the longest."""
    layer = Mamba(DIM)
    inputs = {str(length): torch.randn(1, length, DIM) for length in DOUBLED}
    times = in_turns({name: trained(Alone(layer), x) for name, x in inputs.items()})
    names = list(inputs)
    growth = [times.ratio(b, a) for a, b in pairwise(names)]
    kept = saved(layer, inputs[names[-1]])
    states = 4 * DOUBLED[-1] * layer.log_rate.numel()
    row = {
        "ms": {name: 1e3 * times.median(name) for name in names},
        "growth": growth,
        "largest": max(kept),
        "kept": sum(kept),
        "states": states,
        "holds": max(growth) <= MOST_GROWTH and max(kept) < states / 2,
    }
    report("Mamba, time of twice the length: " + ", ".join(f"{each:.2f} x" for each in growth))
    report(
        f"Mamba keeps {sum(kept) / 2**20:.0f} MiB at {DOUBLED[-1]} tokens, at most "
        f"{max(kept) / 2**20:.0f} in one tensor; all states are {states / 2**20:.0f}"
    )
    return row


def saved(layer: torch.nn.Module, x: torch.Tensor) -> list[int]:
    """Bytes of what a forward pass keeps for the gradient, each storage once, weights left out."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        y = layer(x)  # alive until all is counted: what is freed may have its place taken
    for weight in layer.parameters():
        kept.pop(weight.untyped_storage().data_ptr(), None)
    del y
    return list(kept.values())


def step_costs(report: Report) -> list[Row]:
    """The time of a step of each recurrent kind early and late in a sequence."""
    rows = []
    for name in RECURRENT:
        times = _steps(name)
        ratio = times.ratio("late", "early")
        rows.append(
            {
                "what": name,
                "early": 1e6 * times.median("early"),
                "late": 1e6 * times.median("late"),
                "ratio": ratio,
                "holds": ratio <= MOST_STEP,
            }
        )
        report(
            f"step of {name:<14}{rows[-1]['early']:8.1f} µs at {EARLY}, "
            f"{rows[-1]['late']:8.1f} µs at {LATE}: {ratio:.3f} x (at most {MOST_STEP})"
        )
    return rows


@torch.no_grad()
def _steps(name: str) -> Times:
    mixer = MIXERS[name].target(STEP_DIM)
    states: dict[int, Any] = {}
    for position in (EARLY, LATE):
        state, left = None, position
        while left:
            now = min(left, PIECE)
            _, state = mixer(torch.randn(1, now, STEP_DIM), None, state)
            left -= now
        states[position] = state
    token = torch.randn(1, STEP_DIM)
    early, late = states[EARLY], states[LATE]
    return in_turns(
        {"early": lambda: mixer.step(token, early), "late": lambda: mixer.step(token, late)},
        rounds=STEP_ROUNDS,
    )


# --- the page -----------------------------------------------------------------------------------


def _page(rows: list[Row], growth: Row, steps: list[Row]) -> list[str]:
    lines = [
        "# Mixers beside others",
        "\nCommand: `danlu bench mixers`, "
        f"{torch.get_num_threads()} threads. Each row is one comparison in one process, both ways "
        "in turns; milliseconds are medians, ratios the median of the ratios within a round. A "
        "ratio is their time over ours, in torch and, where there are any, with the kernels of "
        "`danlu.layers.kernels` (`--set train.kernels=true`); the better one has to keep the goal.",
    ]
    for group in dict.fromkeys(row["group"] for row in rows):
        lines += [f"\n## {group}", *_table(row for row in rows if row["group"] == group)]
    shares = ", ".join(f"{each:.2f}" for each in growth["growth"])
    lines += [
        "\n## Mamba and the length\n",
        f"From {DOUBLED[0]} tokens on, twice the length takes {shares} times as long (at most "
        f"{MOST_GROWTH}). At {DOUBLED[-1]} tokens the layer keeps {growth['kept'] / 2**20:.0f} MiB "
        f"for the gradient, {growth['largest'] / 2**20:.0f} MiB in the largest tensor; all states "
        f"would be {growth['states'] / 2**20:.0f} MiB.",
        "\n## A step early and late\n",
        f"Microseconds of `step` at width {STEP_DIM} after {EARLY} and after {LATE:,} tokens.",
        *table(
            ("mixer", "early", "late", "ratio", f"at most {MOST_STEP}"),
            [
                (row["what"], f"{row['early']:.1f}", f"{row['late']:.1f}", f"{row['ratio']:.3f}",
                 _verdict(row)) for row in steps
            ],
        ),
    ]  # fmt: skip
    return [*lines, *_missed(rows)]


def _table(rows: Iterable[Row]) -> list[str]:
    heading = (
        "ours", "length", "ms", "kernels, ms", "theirs", "ms", "ratio", "kernels, ratio", "goal",
        "kept",
    )  # fmt: skip
    cells = []
    for row in rows:
        ms = {name: f"{1e3 * seconds:.2f}" for name, seconds in row["seconds"].items()}
        ratios = {name: f"{ratio:.2f}" for name, ratio in row["ratios"].items()}
        cells.append(
            (
                row["what"], str(row["length"]), ms[TORCH], ms.get(KERNELS, ""), row["peer"],
                ms.get(THEIRS, "not installed"), ratios.get(TORCH, ""), ratios.get(KERNELS, ""),
                f"{row['goal']:g}", _verdict(row),
            )
        )  # fmt: skip
    return table(heading, cells)


def _verdict(row: Row) -> str:
    return {True: "yes", False: "no", None: ""}[row["holds"]]


def _missed(rows: list[Row]) -> list[str]:
    """Where the time goes of what is too slow."""
    missed = [row for row in rows if row["holds"] is False]
    if not missed:
        return []
    return [
        "\n## What bounds the rows that miss their goal\n",
        "Shares of the time of our better way, by torch's profiler; and the share that its matrix "
        "products need at the rate of a large one, the arithmetic limit of this machine.\n",
        *(
            f"- {row['what']} at {row['length']} (against {row['peer']}): {_spent(row)}"
            for row in missed
        ),
    ]


def _spent(row: Row) -> str:
    parts = [f"{name.removeprefix('aten::')} {share:.0%}" for name, share in row["spent"]]
    return ", ".join([*parts, f"limit by products {row['products']:.0%}"])


def _pictures(rows: list[Row]) -> dict[str, Any]:
    """Time against length of what was measured at several."""
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        if row["peer"] != "fused softmax attention":
            continue
        names = {TORCH: row["what"], KERNELS: f"{row['what']}, kernels", THEIRS: row["peer"]}
        for name, figure in ((names[way], seconds) for way, seconds in row["seconds"].items()):
            x, y = lines.setdefault(name, ([], []))
            if row["length"] not in x:
                x.append(float(row["length"]))
                y.append(1e6 * figure / row["length"])
    if not lines:
        return {}
    return {"recurrences": curves(lines, "tokens", "µs a token, forward and backward", log=True)}
