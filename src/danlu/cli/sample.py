"""Draw samples from a trained run, as a picture, as numbers or as text."""

import argparse
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from danlu.cli.console import Lasting, console_for, duration, say, write_json
from danlu.cli.foreign import classes_for
from danlu.cli.parser import Parser, add_asked, add_common, add_family, whole

if TYPE_CHECKING:
    import numpy as np

    from danlu.generative.base import GenerativeModel
    from danlu.runs.drawing import Drawn
    from danlu.runs.folders import Run
    from danlu.training.policy import Policy

HELP = "draw samples from a run, as PNG, NPZ or text"
EXAMPLES = (
    "danlu sample runs/race/vae --n 64",
    "danlu sample runs/race/rectified-flow --class 3 --evaluations 16 --set sampler.solver=heun",
    "danlu sample runs/race/gan --n 1000 --seed 1 --out samples.npz",
    'danlu sample runs/lm-book --n 1 --prompt "It was " --set sampler.length=500',
    'danlu sample runs/captioned --n 16 --prompt "a red ball"',
)
ENDINGS = (".png", ".npz", ".txt")
MOST_DRAWS = 10_000
SAMPLES, TEXTS = 64, 3
"""Samples that are drawn unless a number is given, and texts."""


def arguments(parser: Parser) -> None:
    """The verb's arguments."""
    parser.add_argument("folder", metavar="RUN", help="a run folder")
    parser.add_argument("--n", type=whole, help="how many (default 64; of texts 3)")
    parser.add_argument("--evaluations", type=whole, help="network evaluations for one sample")
    add_asked(parser)
    add_common(parser, out="a new PATH.png, .npz or .txt (default RUN/samples/draw-SEED.png)")
    add_family(parser)


def run(options: argparse.Namespace) -> int:
    """Draw and write."""
    from danlu.runs.folders import open_run
    from danlu.runs.machine import chosen_device, device_line
    from danlu.training.policy import Policy, kept_policy

    console = console_for(options.json, Lasting)
    say(console, device_line(options.device))
    found = open_run(options.folder)
    if options.n is None:
        options.n = TEXTS if found.config.description.is_text else SAMPLES
    path = _path(options, found)
    model, _, notices = found.model(classes_for(options.foreign), chosen_device(options.device))
    policy, doubts = kept_policy(found.folder)
    notices += doubts
    for line in notices:
        say(console, line)
    policy = policy or Policy.choose("cpu", found.config.description)
    policy = replace(policy, device=str(model.device))
    drawn, note, evaluations = _draw(
        options, found, model, policy, as_picture=path.suffix == ".png"
    )
    _write(drawn, found, model, path)
    if options.json:
        facts = {"path": str(path), "n": len(drawn.x), "seconds": drawn.seconds, "note": note}
        write_json({**facts, "evaluations": evaluations, "notices": notices})
    else:
        each = f"{evaluations} network evaluation{'s' if evaluations != 1 else ''} each"
        took = f"in {duration(drawn.seconds)}, {each}"
        if path.suffix == ".txt":
            say(console, path.read_text(encoding="utf-8"))
        say(console, f"{path}: {len(drawn.x)} {note or 'samples'} {took}")
    return 0


def _path(options: argparse.Namespace, found: "Run") -> Path:
    from danlu.contracts import DanluError
    from danlu.runs.drawing import drawable
    from danlu.runs.folders import require_unused

    if options.n < 1:
        raise DanluError(f"--n must be at least 1, got {options.n}.")
    description = found.config.description
    shown = drawable(description)
    ending = "txt" if description.is_text else "png" if shown else "npz"
    default = _free(found.folder / "samples" / f"draw-{options.seed}.{ending}")
    path = Path(options.out) if options.out else default
    require_unused(path)
    if path.suffix not in ENDINGS or (path.suffix == ".txt") > description.is_text:
        raise DanluError(f"--out takes a .png or an .npz file, of text .txt, got {path}.")
    if path.suffix == ".png" and not shown:
        other = "a .txt" if description.is_text else "an .npz"
        raise DanluError(
            f"Samples of shape {description.shape} cannot be drawn; write {other} file."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _free(path: Path) -> Path:
    """The path, or where there is such a file the next free one: draw-0-2.png and so on."""
    others = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
    return next(each for each in (path, *islice(others, MOST_DRAWS)) if not each.exists())


def _draw(
    options: argparse.Namespace,
    found: "Run",
    model: "GenerativeModel",
    policy: "Policy",
    *,
    as_picture: bool,
) -> "tuple[Drawn, str, int]":
    """The samples, what they are where they are not plain samples, and evaluations for one."""
    from danlu.runs.asking import asked_for
    from danlu.runs.drawing import draw, told_in_turn
    from danlu.runs.options import option_fields, place
    from danlu.runs.settings import Settings

    settings = Settings(options.settings)
    settings.require_only("sampler")
    if options.evaluations is not None:
        name = place("evaluations", option_fields(model.Options))
        settings.texts["sampler"][name] = str(options.evaluations)
    description, prompt = found.config.description, options.prompt
    if prompt is not None and description.is_text:
        settings.texts["sampler"]["prompt"], prompt = prompt, None
    chosen: Any = found.config.options(model, settings)
    note = ""
    if as_picture and model.picture_options is not None and not settings.texts["sampler"]:
        chosen, note = model.picture_options, model.picture_note
    asked = {"class_name": options.class_id, "prompt": prompt, "file": options.condition}
    told = asked_for(description, found.config.class_names, options.n, **asked)
    told = told_in_turn(model, options.n) if told is None else told
    drawn = draw(model, told, options.n, options=chosen, seed=options.seed, policy=policy)
    return drawn, note, model.sampling_evaluations(chosen)


def _labels(names: tuple[str, ...], ids: "np.ndarray") -> "np.ndarray":
    """What the data called the classes: numbers where all names are, else words."""
    import numpy as np

    if not names:
        return ids
    numbers = [int(name) if name.removeprefix("-").isdecimal() else None for name in names]
    plain = [str(number) for number in numbers] == [*names]  # 01 is a word
    return np.asarray(numbers if plain else names)[ids]


def _write(drawn: "Drawn", found: "Run", model: "GenerativeModel", path: Path) -> None:

    from danlu.evaluation.pictures import grid
    from danlu.files import write_arrays, write_text
    from danlu.runs.drawing import columns
    from danlu.runs.texts import separated, texts_of

    if path.suffix == ".png":
        across = min(columns(model.description.classes), len(drawn.x))
        grid(drawn.x, model.description, path=path, columns=across)
        return
    if path.suffix == ".txt":
        write_text(path, separated(texts_of(drawn.x, model.description)))
        return
    arrays = {"x": drawn.x.numpy()}
    if drawn.classes is not None:
        arrays["class_id"] = drawn.classes.numpy()
        arrays["y"] = _labels(found.config.class_names, arrays["class_id"])
    write_arrays(path, arrays)
