r"""Images of several sizes as packed sequences of patches, and positions of mixed sequences.

An image of $h s \times w s$ pixels is a document of $h w$ tokens, each a patch of $s \times s$
pixels, with the position (row, column): no image is cropped, stretched or padded. In a sequence of
text and images each token has three positions, time, row and column. In text all three are the
running index; an image that begins at index $n$ has $(n + t, n + r, n + c)$, and what follows goes
on after the largest of them.

Use it for images or videos of several sizes in one batch, alone or between text.

Sources: arXiv:2307.06304 §2.1 (patch packing); arXiv:2409.12191 §2.1 (positions of three axes).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int, Num
from torch import Tensor

from danlu.contracts import DanluError
from danlu.data.packing.batch import PackedBatch
from danlu.layers.packing import boundaries

Grid = tuple[int, int, int]
"""Frames, rows and columns of an image or a video."""


def pack_patches(images: Sequence[Num[Tensor, "channels _ _"]], size: int) -> PackedBatch:
    """Images as patches in one row, with their rows and columns as positions.

    Raises:
        DanluError: there is no image, or one cannot be cut into patches of `size` pixels.
    """
    if not images:
        raise DanluError("There is no image to pack.")
    patches, places = [], []
    for image in images:
        height, width = image.shape[1:]
        if height % size or width % size:
            raise DanluError(
                f"An image of {height}x{width} pixels cannot be cut into patches of {size}: "
                f"resize it to multiples of {size}."
            )
        cut = image.unflatten(1, (-1, size)).unflatten(3, (-1, size))
        patches.append(cut.permute(1, 3, 0, 2, 4).flatten(2).flatten(0, 1))
        rows, columns = torch.arange(height // size), torch.arange(width // size)
        places.append(torch.cartesian_prod(rows, columns).reshape(-1, 2).to(image.device))
    x = torch.cat(patches)[None]
    return PackedBatch(
        x=x,
        condition=None,
        index=torch.arange(1, device=x.device),
        cu_seqlens=boundaries(tuple(len(part) for part in patches), x.device),
        positions=torch.cat(places)[None],
    )


def unpack_patches(batch: PackedBatch, size: int) -> list[Num[Tensor, "channels _ _"]]:
    """The images of packed patches."""
    assert batch.positions is not None
    images = []
    parts = batch.x[0].split(batch.lengths), batch.positions[0].split(batch.lengths)
    for patches, places in zip(*parts, strict=True):
        columns = int(places[:, 1].max()) + 1
        cut = patches.unflatten(1, (-1, size, size)).unflatten(0, (-1, columns))
        images.append(cut.permute(2, 0, 3, 1, 4).flatten(3).flatten(1, 2))
    return images


def mixed_positions(parts: Sequence[int | Grid]) -> Int[Tensor, "total 3"]:
    """Time, row and column of each token of one document.

    Args:
        parts: in order, how many tokens of text, or the grid of an image.
    """
    found, begin = [], 0
    for part in parts:
        if isinstance(part, int):
            place = torch.arange(part)[:, None].expand(-1, 3)
        else:
            place = torch.cartesian_prod(*(torch.arange(size) for size in part)).reshape(-1, 3)
        found.append(place + begin)
        begin += int(place.max()) + 1 if len(place) else 0
    return torch.cat(found) if found else torch.zeros(0, 3, dtype=torch.long)
