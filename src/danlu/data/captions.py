"""What the images of a folder are called: texts beside them, as byte ids under a `Tokens` kind.

Looked for in this order, and the first that is there counts: `metadata.jsonl` with a `file_name`
and a `text` in each line; `captions.csv` with columns of these names; a text file beside each
image, `cat.txt` for `cat.png`; the names of the subfolders. File names are relative to the folder
of the list. Images without a caption are left out and listed, captions without an image counted.
"""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from pathlib import Path, PurePosixPath

from danlu.contracts import Condition, DanluError, Tokens
from danlu.data.beside import Beside, lonely
from danlu.data.pictures import Facts
from danlu.reading import lines_of, read_text

METADATA, TABLE, SIDECAR = "metadata.jsonl", "captions.csv", ".txt"
NAME, TEXT = "file_name", "text"
LONGEST = 256
"""Bytes of a caption that are read."""

Rows = list[tuple[str, str]]
"""File names and texts."""


def captions_of(folder: Path, facts: Facts) -> Beside:
    """The captions of the images in a folder.

    Raises:
        DanluError: a list cannot be read, or names an image twice; or there are no captions.
    """
    images = facts.names
    others = [line.rpartition(": ")[0] for line in facts.skipped]  # a text is no image
    for name, read in ((METADATA, _metadata), (TABLE, _table)):
        lists = [other for other in others if PurePosixPath(other).name == name]
        if lists:
            return _matched(_joined(folder, lists, read), images, ", ".join(lists), lists)
    sides: dict[str, str] = {}
    for image in images:
        known = sides.setdefault(str(PurePosixPath(image).with_suffix(SIDECAR)), image)
        if known != image:
            raise DanluError(f"{folder}: {known} and {image} have one caption file; rename one.")
    files = [other for other in others if PurePosixPath(other).suffix == SIDECAR]
    if not sides.keys().isdisjoint(files):
        texts = {sides.get(file, file): read_text(folder / file).strip() for file in files}
        return _matched(texts, images, f"{SIDECAR} files beside them", files)
    above = {image: PurePosixPath(image).parent.name.replace("_", " ") for image in images}
    if any(above.values()):
        return _matched(above, images, "the names of their folders", [])
    raise DanluError(
        f"--label captions needs {METADATA}, {TABLE}, {SIDECAR} files beside the images or named "
        f"subfolders in {folder}."
    )


def tokens_of_texts(texts: Sequence[str]) -> tuple[Tokens, Condition, list[str]]:
    """The kind that holds some texts, they as byte ids, and a notice where some are cut off."""
    sizes = [len(text.encode()) for text in texts]
    kind = Tokens(length=min(LONGEST, max(1, *sizes)))
    cut = sum(size > LONGEST for size in sizes)
    said = [f"{cut:,} captions are longer than {LONGEST} bytes, and cut off there."] if cut else []
    return kind, kind.of_texts(texts), said


def _joined(folder: Path, lists: Sequence[str], read: Callable[[Path], Rows]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name in lists:
        parent = PurePosixPath(name).parent
        for image, text in read(folder / name):
            path = str(parent / image)
            if path in texts:
                raise DanluError(f"{folder / name} names {image} twice; an image has one caption.")
            texts[path] = text
    return texts


def _metadata(path: Path) -> Rows:
    found = []
    for number, line in enumerate(lines_of(read_text(path)), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise DanluError(f"{path}, line {number} is no JSON.") from None
        found.append(_row(row if isinstance(row, dict) else {}, f"{path}, line {number}"))
    return found


def _table(path: Path) -> Rows:
    rows = csv.DictReader(StringIO(read_text(path), newline=""))
    try:
        return [_row(row, f"{path}, line {rows.line_num}") for row in rows]
    except csv.Error as error:
        raise DanluError(f"{path}, line {rows.line_num}: {error}.") from None


def _row(row: Mapping[str, object], where: str) -> tuple[str, str]:
    name, text = row.get(NAME), row.get(TEXT)
    if not isinstance(name, str) or not isinstance(text, str) or not name:
        raise DanluError(f"{where} needs a `{NAME}` and a `{TEXT}`.")
    return name, text


def _matched(
    texts: Mapping[str, str], images: Sequence[str], source: str, files: Sequence[str]
) -> Beside:
    """The captions of what is there, with a count of the others."""
    there = [image for image in images if texts.get(image)]
    if not there:
        raise DanluError(f"No image has a caption in {source}; file names are relative to it.")
    kind, values, cut = tokens_of_texts([texts[image] for image in there])
    lost = sorted(texts.keys() - {*images})
    return Beside(
        what="caption",
        kind=kind,
        place={image: i for i, image in enumerate(there)},
        values=values,
        notices=(
            f"Captions of {len(there):,} images from {source}.", *lonely(lost, "captions"), *cut
        ),
        files=frozenset(files),
    )  # fmt: skip
