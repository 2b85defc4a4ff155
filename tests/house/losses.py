"""Seeded losses of every family beside those that were recorded: a refactor changes no digit.

    python tests/house/losses.py                     every row, some minutes
    python tests/house/losses.py "vae digits" "lm "  rows whose names begin so
    python tests/house/losses.py --record            adds the rows that the record lacks

A row is a family on some data: 20 rounds of its recipe in float32 on one thread, and the total
loss of each play; or a few rounds of a small stack with one mixer on text. Losses agree to the
last digit on a processor of the kind that recorded them with the same torch. Elsewhere operations
sum in another order, and `FIRST` for the first round and `LATER` for the others are asked for.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from danlu.contracts import DanluError
from danlu.data import ExampleStream
from danlu.generative import FAMILIES
from danlu.mixers import MIXERS
from danlu.runs.config import resolve
from danlu.runs.settings import Settings
from danlu.runs.train import choose_data, choose_text, open_data
from danlu.training import Budget, Policy, Trainer, TrainingRun

HOME = Path(__file__).parent / "fixtures"
RECORD = HOME / "losses.json"
TEXT = "text.txt"
DATA = ("digits", "two-moons", TEXT)
ROUNDS, MIXER_ROUNDS = 20, 5
FIRST, LATER = 1e-4, 0.2
"""Of the row's largest loss, since a critic's passes through zero; by the second round Adam has
gone by the signs of gradients that are nearly zero."""

FEWER = {"reflow": ["model.pairs=256"], "distilled": ["model.pairs=256"]}
"""Pairs are drawn by solving an equation for each: thousands take a minute."""
STACK = ["model.dim=32", "model.depth=2", "model.heads=2", "train.batch=8"]


@dataclass(frozen=True)
class Row:
    """What is trained, and how long."""

    family: str
    data: str
    rounds: int
    settings: list[str]

    @property
    def name(self):
        return " ".join([self.family, self.data, *self.settings[len(STACK) :]])


def candidates():
    """Every row that may be tried; what does not fit says so."""
    for family in FAMILIES:
        for data in DATA:
            yield Row(family, data, ROUNDS, FEWER.get(family, []))
    for mixer in MIXERS:
        for family in ("lm", "mlm"):
            yield Row(family, TEXT, MIXER_ROUNDS, [*STACK, f"model.mixer={mixer}"])


def losses(row):
    """Player and total loss of every play, in order.

    Raises:
        DanluError: the family does not take this data or these settings.
    """
    settings = Settings(row.settings)
    if row.data == TEXT:
        choice = choose_text([str(HOME / TEXT)], settings, size=32)
    else:
        choice = choose_data(row.data)
    source = open_data(choice)
    config = resolve(row.family, source, choice, Budget(steps=row.rounds), settings=settings)
    stream = ExampleStream(
        source.training, source.description, batch=config.plan.batch, seed=config.seed, flips=False
    )
    model, kept = config.build(), []
    loss = model.loss

    def recorded(batch, player, progress):
        found = loss(batch, player, progress)
        kept.append([player, found.total.item()])
        return found

    model.loss = recorded
    run = TrainingRun(seed=config.seed, policy=Policy())
    Trainer(model, stream, config.plan, config.budget, run=run).run()
    return kept


def processor():
    """What the last digits depend on."""
    facts = {}
    for line in reversed(Path("/proc/cpuinfo").read_text().splitlines()):
        key, _, value = line.partition(":")
        facts[key.strip()] = value.strip()
    wide = ("avx", "fma", "amx", "sse4", "asimd", "sve")
    flags = facts.get("flags", facts.get("Features", "")).split()
    return {
        "model": facts.get("model name", ""),
        "flags": sorted(flag for flag in flags if flag.startswith(wide)),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
    }


def read():
    """What was recorded: the processor, and rows with their losses."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    rows = {}
    for raw in record["rows"]:
        kept = raw.pop("losses")
        row = Row(**raw)
        rows[row.name] = (row, kept)
    return record["processor"], rows


def write(rows):
    """Keep rows and the processor that they are of."""
    lines = [json.dumps({**asdict(row), "losses": kept}) for row, kept in rows.values()]
    head = json.dumps(processor())
    text = f'{{"processor": {head},\n"rows": [\n' + ",\n".join(lines) + "\n]}\n"
    RECORD.write_text(text, encoding="utf-8")


def difference(now, then, same):
    """What is wrong with losses; empty where nothing is."""
    if [player for player, _ in now] != [player for player, _ in then]:
        return f"plays are {len(now)}, were {len(then)}, or of other players"
    largest = max(abs(old) for _, old in then)
    for index, ((player, new), (_, old)) in enumerate(zip(now, then, strict=True)):
        allowed = 0.0 if same else FIRST if index == 0 else LATER
        if not abs(new - old) <= allowed * largest:
            return f"play {index + 1} of {player}: {new!r}, was {old!r}"
    return ""


def compare(names):
    """Print every row beside the record; how many differ."""
    recorded, rows = read()
    same = recorded == processor()
    print("to the last digit" if same else f"within {FIRST:g}, later {LATER:g}: another processor")
    wrong = 0
    for name, (row, then) in rows.items():
        if names and not name.startswith(tuple(names)):
            continue
        said = difference(losses(row), then, same)
        wrong += bool(said)
        print(f"{name:45} {said or 'equal'}", flush=True)
    print(f"{wrong} differ")
    return wrong


def record():
    """Add what the record lacks; on another processor, record everything anew."""
    known = read()[1] if RECORD.exists() and read()[0] == processor() else {}
    for row in candidates():
        if row.name in known:
            continue
        try:
            known[row.name] = (row, losses(row))
        except DanluError as error:
            print(f"{row.name:45} none: {error}", flush=True)
        else:
            print(f"{row.name:45} recorded", flush=True)
            write(known)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="beginnings of names of rows")
    parser.add_argument("--record", action="store_true", help="add rows that are not there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.record:
        record()
        return 0
    return min(compare(options.names), 1)


if __name__ == "__main__":
    sys.exit(main())
