"""Packed batches from padded ones, and back: the names are those that transformers uses."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Num
from torch import Tensor

from danlu.contracts import DanluError
from danlu.data.packing.batch import NO_TARGET, PackedBatch
from danlu.layers.packing import pack, padded_rows, unpack

BOUNDARIES = ("cu_seq_lens_q", "cu_seqlens")


def from_padded(batch: Mapping[str, Tensor]) -> PackedBatch:
    """The tokens of a padded batch, one row after the other.

    Args:
        batch: `input_ids` `[batch, length]`; perhaps `attention_mask`, `labels` (-100 for none) and
            `position_ids`, `[batch, length]` or with the axes before. A batch that is flat already
            has one row and `cu_seq_lens_q` instead of a mask.

    Raises:
        DanluError: mask and boundaries disagree, or shapes do.
    """
    ids = batch["input_ids"]
    valid = _valid(batch, ids)
    ends = next((batch[name].flatten() for name in BOUNDARIES if name in batch), None)
    lengths = tuple(valid.sum(1).tolist())
    if ends is not None:
        lengths = _agreed(tuple(ends.diff().tolist()), lengths, "attention_mask" in batch)
    packed = PackedBatch.of(pack(ids, valid), lengths)
    places, labels = batch.get("position_ids"), batch.get("labels")
    if places is not None and places.ndim == 3:
        places = places.movedim(0, -1)
    for name, part in (("position_ids", places), ("labels", labels)):
        if part is not None and part.shape[:2] != ids.shape:
            raise DanluError(f"{name} is {tuple(part.shape)} for ids of {tuple(ids.shape)}.")
    return PackedBatch(
        x=packed.x,
        condition=None,
        index=packed.index,
        cu_seqlens=packed.cu_seqlens,
        positions=None if places is None else pack(places, valid),
        labels=None if labels is None else pack(labels, valid),
    )


def to_padded(packed: PackedBatch, *, padding: int = 0) -> dict[str, Tensor]:
    """The documents as rows with the padding on the right, as transformers takes them."""
    token, valid = padded_rows(packed.cu_seqlens)
    rows = {"input_ids": _filled(packed.x, token, valid, padding), "attention_mask": valid.long()}
    if packed.positions is not None:
        places = unpack(packed.positions, token, valid)
        rows["position_ids"] = places.movedim(-1, 0) if places.ndim == 3 else places
    labels = packed.x if packed.labels is None else packed.labels
    return {**rows, "labels": _filled(labels, token, valid, NO_TARGET)}


def _filled(
    x: Tensor, token: Tensor, valid: Tensor, value: int
) -> Num[Tensor, "documents longest"]:
    return unpack(x, token, valid).masked_fill(~valid, value)


def _valid(batch: Mapping[str, Tensor], ids: Tensor) -> Bool[Tensor, "batch length"]:
    if "attention_mask" not in batch:
        return torch.ones_like(ids, dtype=torch.bool)
    mask = batch["attention_mask"]
    if mask.shape != ids.shape:
        raise DanluError(f"attention_mask is {tuple(mask.shape)} for ids of {tuple(ids.shape)}.")
    return mask.bool()


def _agreed(bounded: tuple[int, ...], masked: tuple[int, ...], has_mask: bool) -> tuple[int, ...]:
    """The lengths by boundaries, if a mask, where there is one, gives the same."""
    flat = len(masked) == 1 and sum(bounded) == sum(masked)
    if bounded == masked or flat:
        return bounded
    source = "the mask" if has_mask else "the rows"
    raise DanluError(
        f"The boundaries give documents of {list(bounded)[:8]} tokens, {source} of "
        f"{list(masked)[:8]}: give one of them."
    )
