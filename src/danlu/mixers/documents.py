"""The contexts of packed documents and of padded rows, from one another.

A padded batch whose padding is worth leaving out is packed, run, and put back; packed documents
are run as rows, in groups of about the same length, by a mixer that takes rows alone.
"""

from dataclasses import replace

import torch
from torch import Tensor

from danlu.contracts import DanluError, SequenceContext
from danlu.layers.groups import Groups
from danlu.layers.packing import (
    DENSE,
    boundaries,
    check_boundaries,
    pack,
    padded_rows,
    unpack,
)


def measured(x: Tensor, context: SequenceContext) -> SequenceContext:
    """The context with the lengths of its documents.

    Raises:
        DanluError: the boundaries cannot be those of the documents in x.
    """
    assert context.cu_seqlens is not None
    if context.lengths is not None:
        return context
    lengths = check_boundaries(context.cu_seqlens, x.shape[1])
    if not lengths:
        raise DanluError("cu_seqlens holds no document.")
    return replace(context, lengths=lengths)


def rows_of(x: Tensor, context: SequenceContext, groups: Groups) -> list[tuple]:
    """The rows of each group with their contexts."""
    positions = None if context.positions is None else groups.take(context.positions[0])
    found = []
    for number, rows in enumerate(groups.take(x[0])):
        group = groups.members[number]
        alone = replace(
            context,
            positions=None if positions is None else positions[number],
            valid=groups.valid(number, x.device),
            cu_seqlens=None,
            memory=None if context.memory is None else _chosen(*context.memory, group, groups),
            order=None,
            lengths=tuple(groups.lengths[document] for document in group),
        )
        found.append((rows, alone))
    return found


def without_padding(x: Tensor, context: SequenceContext) -> tuple[Tensor, SequenceContext] | None:
    """A padded batch as packed documents; None where it has hardly any padding."""
    valid = context.valid
    assert valid is not None
    lengths = tuple(valid.sum(1).tolist())
    if sum(lengths) >= DENSE * valid.numel():
        return None
    memory = context.memory
    if memory is not None:
        keys, of_keys = memory
        there = of_keys.valid
        if there is None:
            there = torch.ones(keys.shape[:2], dtype=torch.bool, device=keys.device)
        memory = (pack(keys, there), _packed(of_keys, there))
    return pack(x, valid), replace(_packed(context, valid), memory=memory)


def _packed(context: SequenceContext, valid: Tensor) -> SequenceContext:
    """The context of the valid tokens, one row's after the other."""
    lengths = tuple(valid.sum(1).tolist())
    positions = None if context.positions is None else pack(context.positions, valid)
    return replace(
        context,
        positions=positions,
        valid=None,
        cu_seqlens=boundaries(lengths, valid.device),
        lengths=lengths,
    )


def _chosen(
    keys: Tensor, of_keys: SequenceContext, group: tuple[int, ...], groups: Groups
) -> tuple[Tensor, SequenceContext]:
    """The memories of some documents as padded rows."""
    if of_keys.cu_seqlens is None or len(of_keys.cu_seqlens) != len(groups.lengths) + 1:
        raise DanluError("The memory of packed documents must be packed, one for each.")
    token, valid = padded_rows(of_keys.cu_seqlens)
    rows = torch.tensor(group, device=keys.device)
    token, valid = token[rows], valid[rows]
    positions = None if of_keys.positions is None else unpack(of_keys.positions, token, valid)
    unpacked = replace(of_keys, positions=positions, valid=valid, cu_seqlens=None, lengths=None)
    return unpack(keys, token, valid), unpacked
