"""What the images of a folder are told, by what lies beside them: for one, other images.

In `conditions` each image of `images` has a partner, under the same relative path but for the
suffix. What has no partner is left out: images are listed, partners counted and named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from danlu.contracts import Condition, DanluError, Image, Tokens
from danlu.data.pictures import Facts, pictures_of
from danlu.reading import require_memory

SHOWN = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """What images are told, by their relative paths.

    Attributes:
        what: one of it is called.
        kind: of the condition.
        place: in `values`, of each image that is told something.
        values: of all of these.
        notices: what a person should know.
        files: that hold it, and are no images of the data.
    """

    what: str
    kind: Tokens | Image
    place: Mapping[str, int]
    values: Condition
    notices: tuple[str, ...]
    files: frozenset[str] = field(default_factory=frozenset)

    def of(self, names: Sequence[str]) -> Condition:
        """The condition of some images."""
        return self.values[torch.tensor([self.place[name] for name in names], dtype=torch.long)]


def lonely(names: Sequence[str], what: str) -> list[str]:
    """A notice of what belongs to no image."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    shown = f"{', '.join(names[:SHOWN])}{more}"
    return [f"{len(names):,} {what} without an image: {shown}."] if names else []


def images_beside(folder: Path, facts: Facts) -> Beside:
    """The images that others are told.

    Raises:
        DanluError: two have one name, none fits, or the memory will not do.
    """
    partners = pictures_of(folder, facts.size)
    stems = [_stem(name) for name in partners.facts.names]
    for names, stem in ((facts.names, [_stem(name) for name in facts.names]), (stems, stems)):
        if len({*stem}) < len(names):
            twice = next(each for each in stem if stem.count(each) > 1)
            raise DanluError(f"{folder.parent}: several images are called {twice}; rename them.")
    row = {stem: i for i, stem in enumerate(stems)}
    matched = {name: row[_stem(name)] for name in facts.names if _stem(name) in row}
    if not matched:
        raise DanluError(f"No image in {folder} has the name of one in its sister folder.")
    shape = (partners.facts.channels, facts.size, facts.size)
    require_memory(4 * len(matched) * int(np.prod(shape)), f"{folder}: conditions as numbers")
    chosen = np.array(list(matched.values()))
    pixels = partners.pixels
    taken = (
        pixels[torch.from_numpy(chosen)].numpy() if isinstance(pixels, Tensor) else pixels[chosen]
    )
    values = Condition(torch.from_numpy(taken / np.float32(127.5) - np.float32(1)))
    lost = sorted(row.keys() - {_stem(name) for name in matched})
    said = (f"{len(matched):,} images are told that of the same name in {folder.name}.",)
    skipped = [f"{folder.name}/{line}" for line in partners.facts.skipped[:SHOWN]]
    unread = [f"{len(partners.facts.skipped)} files there are no images: {'; '.join(skipped)}."]
    return Beside(
        what="partner",
        kind=Image(shape),
        place={name: i for i, name in enumerate(matched)},
        values=values,
        notices=(*said, *lonely(lost, "conditions"), *(unread if skipped else [])),
    )


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
