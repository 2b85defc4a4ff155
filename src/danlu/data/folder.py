"""A folder of images, searched recursively, cropped and resized to one square size.

A folder of grey pictures has 1 channel, any colour makes it 3. With `label="folder"` the class of
an image is the folder below the root that holds it; with `label="captions"` it is told a text, see
`captions`. Two folders `images` and `conditions` of the same names are pairs: each image is told
the other, whatever the label. Folders named train and test (also training,
val, valid, validation, dev, testing) are splits and no classes; the classes are the folders in
them. Hidden and system files are left out; a file that is no readable image is left out and listed
with the reason. Splits that are not given: by a hash of the relative path, a tenth (at most 10,000)
each for validation and test, stratified by class.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from danlu.contracts import Classes, Condition, DanluError, DataDescription, DataKind
from danlu.data.beside import Beside, images_beside
from danlu.data.captions import captions_of
from danlu.data.decoding import EIGHT_BITS, SIXTEEN_BITS
from danlu.data.notices import cautions
from danlu.data.pictures import Facts, Pictures, pictures_of
from danlu.data.source import Examples, Source
from danlu.data.splits import SMALLEST, held_out, split

DEFAULT_SIZE = 32
SIZES = range(8, 1025)
PAIRS = ("images", "conditions")
"""Folders of images, and of those that they are told."""
LISTED = 20
"""So many skipped files are listed in the notices; `Source.skipped` has all."""
TRAINING, VALIDATION, TEST = "training", "validation", "test"
SPLITS = {
    "train": TRAINING,
    "training": TRAINING,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
    "testing": TEST,
}
"""Names of split folders, in any case, and the split that they are."""


def folder_source(folder: Path, *, size: int | None = None, label: str = "none") -> Source:
    """The images of a folder as a source.

    Raises:
        DanluError: too few images, a size out of range, nothing of what they are to be told, or
            not enough memory.
    """
    if size is not None and size not in SIZES:
        raise DanluError(f"--size goes from {SIZES[0]} to {SIZES[-1]}, got {size}.")
    pairs = all((folder / name).is_dir() for name in PAIRS)
    pictures = pictures_of(folder / PAIRS[0] if pairs else folder, size or DEFAULT_SIZE)
    told = None
    if pairs:
        told = images_beside(folder / PAIRS[1], pictures.facts)
    elif label == "captions":
        told = captions_of(folder, pictures.facts)
    layout = _Layout(pictures.facts, labelled=label == "folder", told=told)
    beside = told.files if told else frozenset()
    unread = [line for line in pictures.facts.skipped if line.rpartition(": ")[0] not in beside]
    skipped = (*unread, *layout.skipped)
    if len(layout.rows) < SMALLEST or not layout.side(TRAINING):
        raise DanluError(
            f"{folder} holds {len(layout.rows) or 'no'} usable images; at least {SMALLEST} are "
            "needed." + (f" Skipped: {'; '.join(skipped[:3])}." if skipped else "")
        )
    if label == "folder" and len(layout.class_names) < 2:
        raise DanluError(f"--label folder needs at least two subfolders with images in {folder}.")
    notices = [] if size else [
        f"Images are resized to {DEFAULT_SIZE} x {DEFAULT_SIZE}; --size chooses another size."
    ]  # fmt: skip
    notices += [*_losses(pictures.facts, skipped), *layout.notices, *(told.notices if told else ())]
    return _source(folder, pictures, layout, notices, skipped)


class _Layout:
    """What the folders of images mean: their splits and their classes.

    Attributes:
        rows: the images that count, by their number.
        class_names: names of the classes, in order; empty where they are not asked for.
        skipped: images that are in no class or split, and why.
        notices: what a person should know.
    """

    def __init__(self, facts: Facts, *, labelled: bool, told: Beside | None = None) -> None:
        self.names, self.told = facts.names, told
        tops = dict.fromkeys(name.split("/")[0] for name in self.names if "/" in name)
        sides = {top: SPLITS[top.lower()] for top in tops if top.lower() in SPLITS}
        self.divided = TRAINING in sides.values() and len({*sides.values()}) > 1
        self.sides: Mapping[str, str] = sides if self.divided else {}
        self.skipped: list[str] = []
        self.rows = [i for i, name in enumerate(self.names) if self._counts(name, labelled)]
        seen = {self._class_of(self.names[i]) for i in self.rows}
        self.class_names = tuple(sorted(seen)) if labelled else ()
        self.kind = Classes(len(self.class_names)) if self.class_names else told and told.kind
        self.notices = [*self._told(facts, labelled)]

    def side(self, wanted: str) -> list[int]:
        """The images of a split that is given; all where none is."""
        if not self.divided:
            return self.rows if wanted == TRAINING else []
        return [i for i in self.rows if self.sides[self.names[i].split("/")[0]] == wanted]

    def labels(self, rows: Sequence[int]) -> np.ndarray | None:
        """Class ids of some images."""
        ids = {name: i for i, name in enumerate(self.class_names)}
        of = [ids[self._class_of(self.names[i])] for i in rows] if ids else []
        return np.array(of, dtype=np.int64) if ids else None

    def condition(self, rows: Sequence[int]) -> Condition | None:
        """What some images are told."""
        if self.told is not None:
            return self.told.of([self.names[i] for i in rows])
        labels = self.labels(rows)
        return None if labels is None else Condition(torch.from_numpy(labels))

    def _class_of(self, name: str) -> str:
        """The folder that holds an image, below the split; empty where there is none."""
        above = name.split("/")[int(self.divided) : -1]
        return above[0] if above else ""

    def _counts(self, name: str, labelled: bool) -> bool:
        """Whether an image is used; if not, it is written down why."""
        if self.divided and name.split("/")[0] not in self.sides:
            self.skipped.append(f"{name}: beside the split folders {', '.join(self.sides)}")
            return False
        if labelled and not self._class_of(name):
            self.skipped.append(f"{name}: in no subfolder, hence without a class")
            return False
        if self.told is not None and name not in self.told.place:
            self.skipped.append(f"{name}: without a {self.told.what}")
            return False
        return True

    def _told(self, facts: Facts, labelled: bool) -> list[str]:
        """Splits that are used, folders that might be classes, and folders that are none."""
        lines = []
        if self.divided:
            used = ", ".join(f"{top} is the {side} split" for top, side in self.sides.items())
            absent = sorted({TRAINING, VALIDATION, TEST} - {*self.sides.values()})
            rest = f"; {' and '.join(absent)} is taken from training" if absent else ""
            lines.append(f"Split folders: {used}{rest}.")
        found = {self._class_of(self.names[i]) for i in self.rows} - {""}
        if not labelled and self.told is None and len(found) > 1:
            lines.append(f"{len(found)} subfolders: --label folder makes them classes.")
        depth = int(self.divided)
        empty = {
            path.split("/")[depth] for path in facts.folders if len(path.split("/")) == depth + 1
        } - found - {"."}  # fmt: skip
        unseen = found - {self._class_of(self.names[i]) for i in self.side(TRAINING)}
        if labelled and unseen:
            lines.append(f"Classes without training images: {', '.join(sorted(unseen))}.")
        if labelled and empty:
            lines.append(
                f"Folders without a usable image are no classes: {', '.join(sorted(empty))}."
            )
        return lines


def _source(
    folder: Path,
    pictures: Pictures,
    layout: _Layout,
    notices: list[str],
    skipped: tuple[str, ...],
) -> Source:
    description = DataDescription(
        kind=DataKind.IMAGE,
        shape=pictures.facts.shape[1:],
        levels=256,
        low=-1.0,
        high=1.0,
        condition=layout.kind,
    )
    training, *given = (layout.side(side) for side in (TRAINING, VALIDATION, TEST))
    held = held_out(len(training))
    names = [pictures.facts.names[i] for i in training]
    taken = [0 if own else held for own in given]
    learned, *rest = split(names, layout.labels(training), validation=taken[0], test=taken[1])
    chosen = [[training[i] for i in part] for part in (learned, *rest)]
    parts = (chosen[0], *(own or part for own, part in zip(given, chosen[1:], strict=True)))
    examples = [_examples(pictures, layout, rows, description) for rows in parts]
    return Source(
        name=folder.resolve().name,
        description=description,
        class_names=layout.class_names,
        training=examples[0],
        validation=examples[1],
        test=examples[2],
        notices=(*notices, *cautions(description, len(parts[0]), len(parts[2]))),
        skipped=skipped,
    )


def _examples(
    pictures: Pictures, layout: _Layout, rows: Sequence[int], description: DataDescription
) -> Examples:
    chosen = torch.tensor(rows, dtype=torch.long)
    return Examples(pictures.pixels, layout.condition(rows), description, chosen)


def _losses(facts: Facts, skipped: Sequence[str]) -> list[str]:
    """What is not as it was in the files."""
    lines = _listed(skipped, len(facts.names) + len(facts.skipped))
    if facts.hidden:
        lines.append(f"{facts.hidden} hidden or system files and folders are left out.")
    if not facts.kept:
        lines.append(
            "The disk has no room for decoded images: each is decoded whenever it is wanted."
        )
    if facts.enlarged:
        lines.append(f"{facts.enlarged} images were smaller than the chosen size and enlarged.")
    if facts.several:
        lines.append(f"{facts.several} files hold several pictures; the first of each is used.")
    if EIGHT_BITS < facts.white < SIXTEEN_BITS:
        lines.append(
            f"No 16-bit file exceeds {facts.white:,}: read as {facts.white.bit_length()} bits."
        )
    if facts.white == EIGHT_BITS:
        lines.append("No 16-bit file exceeds 255: read as 8 bits.")
    return lines


def _listed(skipped: Sequence[str], files: int) -> list[str]:
    if not skipped:
        return []
    more = [f"  and {len(skipped) - LISTED} more."] if len(skipped) > LISTED else []
    shown = [f"  {line}" for line in skipped[:LISTED]]
    return [f"Skipped {len(skipped)} of {files} files:", *shown, *more]
