"""Measure a trained run: distances of its samples to held-out data, and its likelihood."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from danlu.cli.console import Lasting, console_for, duration, say, write_json
from danlu.cli.foreign import classes_for
from danlu.cli.parser import Parser, add_asked, add_common, add_family, whole

if TYPE_CHECKING:
    from danlu.evaluation.results import Results
    from danlu.measuring.evaluate import EvaluationRequest
    from danlu.runs.folders import Run

HELP = "measure a run: distances of its samples, likelihood of held-out data"
EXAMPLES = (
    "danlu eval runs/race/vae",
    "danlu eval runs/race/rectified-flow --split validation --set sampler.guidance=2",
    "danlu eval runs/race/gan --n 2000 --features net.onnx --json",
)


def arguments(parser: Parser) -> None:
    """The verb's arguments."""
    parser.add_argument("folder", metavar="RUN", help="a run folder")
    parser.add_argument("--split", default="test", help="test (default), or validation for choices")
    parser.add_argument("--n", type=whole, default=1000, help="how many samples (default 1000)")
    parser.add_argument("--features", metavar="NET.ONNX", help="a further feature network")
    parser.add_argument(
        "--require", metavar="CAPABILITY", help="refuse a model that lacks it, such as log_prob"
    )
    add_asked(parser)
    add_common(parser, out="folder of results.json and report.html (default: the run's)")
    add_family(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, print, and write results and report."""
    from danlu.cli.display import display_for
    from danlu.measuring.evaluate import EvaluationRequest, evaluate
    from danlu.runs.folders import open_run, require_unused
    from danlu.runs.machine import chosen_device, device_line
    from danlu.runs.settings import Settings

    console = console_for(options.json, Lasting)
    say(console, device_line(options.device))
    settings = Settings(options.settings)
    settings.require_only("sampler")
    asked = {
        "class_name": options.class_id,
        "prompt": options.prompt,
        "file": options.condition,
    }
    request = EvaluationRequest(
        split=options.split,
        n=options.n,
        features=Path(options.features) if options.features else None,
        seed=options.seed,
        folder=Path(options.out) if options.out else None,
        settings=settings,
        device=chosen_device(options.device),
        classes=classes_for(options.foreign),
        asked={name: value for name, value in asked.items() if value is not None},
        command=f"danlu eval {options.folder} --split {options.split} --n {options.n}",
    )
    found = open_run(options.folder)
    if options.out:
        require_unused(Path(options.out))
    if options.require:
        model, _, _ = found.model(request.classes, request.device)
        model.require(options.require)
    if found.config.description.is_text:
        return _of_text(found, request, options.json)
    with display_for(console) as display:
        results = evaluate(found, request, display)
    if options.json:
        write_json(asdict(results))
        return 0
    _print(results, console)
    say(console, f"report: {request.home(Path(options.folder)) / 'report.html'}")
    return 0


def _of_text(found: "Run", request: "EvaluationRequest", as_json: bool) -> int:
    from danlu.measuring.evaluate import evaluate_text

    figures, notices = evaluate_text(found, request)
    if as_json:
        facts = {name: asdict(measured) for name, measured in figures.items()}
        write_json({**facts, "notices": notices})
        return 0
    console = console_for(False)
    for line in notices:
        say(console, line)
    windows = figures["windows"].value
    for name, measured in figures.items():
        if name != "windows":
            error = measured.stderr or 0.0
            say(console, f"{name.replace('_', ' ')}: {measured.value:.4f} ± {error:.4f}")
    say(console, f"over {windows:.0f} windows of the {request.split} split, each without a past")
    return 0


def _print(results: "Results", console) -> None:  # noqa: ANN001
    from rich.table import Table

    from danlu.evaluation.facts import amount, facts_of, lacking, number

    table = Table(
        box=None, pad_edge=False, collapse_padding=True, title=results.title, title_justify="left"
    )
    table.add_column("", overflow="fold")
    for row in results.rows:
        table.add_column(row.name, justify="right", overflow="fold")
    names = dict.fromkeys(name for row in results.rows for name in (*row.metrics, *row.needs))
    for name in names:
        facts = facts_of(name)
        cells = (
            amount(row.metrics[name], facts) if name in row.metrics else lacking(row, name) or "–"
            for row in results.rows
        )
        table.add_row(name, *cells)
    console.print(table)
    used = ", ".join(f"{part} {duration(seconds)}" for part, (_, seconds) in results.split.items())
    say(console, f"{results.held_out:,} held-out examples of the {results.reference}; {used}")
    evidence = results.rows[0].evidence
    if evidence is not None:
        bits = evidence.bits_per_dim
        said = f", {number(bits.value, bits.stderr)} bits per dimension" if bits else ""
        say(
            console,
            f"log-likelihood {number(evidence.nats.value, evidence.nats.stderr)} nats"
            f"{said} ({evidence.bound}, {evidence.measure}, condition {evidence.condition}, "
            f"{evidence.examples} examples)",
        )
