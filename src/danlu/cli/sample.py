"""Draw samples from a trained run, as a picture or as numbers."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from danlu.cli.console import console_for, duration, say, write_json
from danlu.cli.foreign import classes_for
from danlu.cli.parser import Parser, add_common, add_family

if TYPE_CHECKING:
    from danlu.experiments.drawing import Drawn
    from danlu.experiments.runs import Run
    from danlu.generative.base import GenerativeModel

HELP = "draw samples from a run, as PNG or NPZ"
EXAMPLES = (
    "danlu sample runs/race/vae --n 64",
    "danlu sample runs/race/rectified-flow --class 3 --evaluations 16 --set sampler.solver=heun",
    "danlu sample runs/race/gan --n 1000 --seed 1 --out samples.npz",
)


def arguments(parser: Parser) -> None:
    """The verb's arguments."""
    parser.add_argument("folder", metavar="RUN", help="a run folder")
    parser.add_argument("--n", type=int, default=64, help="how many (default 64)")
    parser.add_argument("--evaluations", type=int, help="network evaluations for one sample")
    parser.add_argument("--class", dest="class_id", metavar="CLASS", help="a class id or name")
    add_common(parser, out="PATH.png or PATH.npz (default RUN/samples/draw-SEED.png)")
    add_family(parser)


def run(options: argparse.Namespace) -> int:
    """Draw and write."""
    from danlu.experiments.machine import chosen_device, device_line
    from danlu.experiments.runs import open_run

    console = console_for(options.json)
    say(console, device_line(options.device))
    found = open_run(options.folder)
    path = _path(options, found)
    model, _ = found.model(classes_for(options.foreign), chosen_device(options.device))
    drawn, note, evaluations = _draw(options, found, model, as_picture=path.suffix == ".png")
    _write(drawn, model, path)
    if options.json:
        facts = {"path": str(path), "n": len(drawn.x), "seconds": drawn.seconds, "note": note}
        write_json({**facts, "evaluations": evaluations})
    else:
        each = f"{evaluations} network evaluation{'s' if evaluations != 1 else ''} each"
        took = f"in {duration(drawn.seconds)}, {each}"
        say(console, f"{path}: {len(drawn.x)} {note or 'samples'} {took}")
    return 0


def _path(options: argparse.Namespace, found: "Run") -> Path:
    from danlu.contracts import DanluError
    from danlu.experiments.drawing import drawable

    if options.n < 1:
        raise DanluError(f"--n must be at least 1, got {options.n}.")
    shown = drawable(found.config.description)
    ending = "png" if shown else "npz"
    default = found.folder / "samples" / f"draw-{options.seed}.{ending}"
    path = Path(options.out) if options.out else default
    if path.suffix not in (".png", ".npz"):
        raise DanluError(f"--out takes a .png or an .npz file, got {path}.")
    if path.suffix == ".png" and not shown:
        shape = found.config.description.shape
        raise DanluError(f"Samples of shape {shape} cannot be drawn; write an .npz file.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _draw(
    options: argparse.Namespace, found: "Run", model: "GenerativeModel", *, as_picture: bool
) -> "tuple[Drawn, str, int]":
    """The samples, what they are where they are not plain samples, and evaluations for one."""
    import torch

    from danlu.experiments.drawing import columns_of_classes, draw
    from danlu.experiments.settings import Settings
    from danlu.training.policy import settle

    settings = Settings(options.settings)
    settings.require_only("sampler")
    if options.evaluations is not None:
        settings.texts["sampler"]["evaluations"] = str(options.evaluations)
    chosen: Any = found.config.options(model, settings)
    note = ""
    if as_picture and model.picture_options is not None and not settings.texts["sampler"]:
        chosen, note = model.picture_options, model.picture_note
    if options.class_id is None:
        classes = columns_of_classes(model, options.n)
    else:
        classes = torch.full((options.n,), _class_id(options.class_id, found))
    policy, _ = settle(found.folder, None, found.config.description)
    policy = replace(policy, device=str(model.device))
    drawn = draw(model, classes, options.n, options=chosen, seed=options.seed, policy=policy)
    return drawn, note, model.sampling_evaluations(chosen)


def _class_id(text: str, found: "Run") -> int:
    """A class by its id or its name."""
    from danlu.contracts import unknown

    names = found.config.class_names
    if text in names:
        return names.index(text)
    if text.isdigit():
        return int(text)
    raise unknown("class", text, names or ("none: the data has no classes",))


def _write(drawn: "Drawn", model: "GenerativeModel", path: Path) -> None:
    import numpy as np

    from danlu.evaluation.pictures import grid

    if path.suffix == ".png":
        grid(drawn.x, model.description, path=path, columns=min(10, len(drawn.x)))
        return
    arrays = {"x": drawn.x.numpy()}
    if drawn.classes is not None:
        arrays["y"] = drawn.classes.numpy()
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
