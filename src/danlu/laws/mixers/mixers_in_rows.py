"""Cases of the mixers' laws about rows: packed documents, padding, and rows of a batch."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from danlu.contracts import reorder
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Case
from danlu.laws.mixers.mixers_in_time import lengths_of
from danlu.laws.mixers.sequences import (
    BATCH,
    Build,
    context_for,
    gradients,
    made,
    one_row,
    packed_context,
    tokens,
)
from danlu.mixers.base import Mixer

DOCUMENTS = (3, 0, 6, 1)
SKEWED_DOCUMENTS = (33, 1, 1, 0, 1, 1, 1, 1, 1)
CALLS = {"side by side": None, "one by one": 0.0}
"""What one more call costs; where it costs nothing, unequal documents are not put together."""


def packed(build: Build) -> Iterable[Case]:
    """Packed documents equal separate ones."""
    for name, mixer, documents in _packings(build):
        yield name, partial(_packed_gap, mixer, documents)


def packed_slopes(build: Build) -> Iterable[Case]:
    """And so do all gradients."""
    for name, mixer, documents in _packings(build):
        yield name, partial(_slopes_gap, mixer, documents)


def edited(build: Build) -> Iterable[Case]:
    """Editing a packed document leaves the others bit-equal."""
    for name, mixer, documents in _packings(build):
        if len(documents) > 1:
            yield name, partial(_edit_gap, mixer, documents)


def _packings(build: Build) -> Iterable[tuple[str, Mixer, tuple[int, ...]]]:
    for way, call in CALLS.items():
        mixer = made(build)
        for part in mixer.modules():
            if isinstance(part, Mixer) and call is not None:
                part.call = call
        choices = [(2,), (1, 1), (2, 0, 1), DOCUMENTS, SKEWED_DOCUMENTS]
        if mixer.length is not None:
            choices = [(mixer.length,), (mixer.length, mixer.length)]
        for documents in choices:
            yield f"documents of {documents} tokens, {way}", mixer, documents


def _packed_gap(mixer: Mixer, documents: tuple[int, ...]) -> float:
    x, context = tokens(mixer, sum(documents), batch=1), context_for(mixer, len(documents))
    found, state = mixer(x, packed_context(context, documents))
    following = tokens(mixer, 2, batch=len(documents), seed=3)
    ours, theirs, begin = [], [], 0
    after = mixer(following, context, state)[0] if mixer.causal else None
    for row, length in enumerate(documents):
        part = slice(begin, begin + length)
        alone = one_row(context, row)
        y, own = mixer(x[:, part], alone)
        ours.append(found[:, part])
        theirs.append(y)
        if after is not None:
            ours.append(after[row : row + 1])
            theirs.append(mixer(following[row : row + 1], alone, own)[0])
        begin += length
    return gap(ours, theirs)


def _slopes_gap(mixer: Mixer, documents: tuple[int, ...]) -> float:
    context = context_for(mixer, len(documents))
    packing = replace(packed_context(context, documents), remember=False)

    def apart(x: Tensor) -> Tensor:
        parts = x.split(documents, dim=1)
        found = [mixer(part, one_row(context, row))[0] for row, part in enumerate(parts)]
        return torch.cat(found, dim=1)

    x = tokens(mixer, sum(documents), batch=1)
    found = gradients(mixer, x, lambda x: mixer(x, packing)[0])
    expected = gradients(mixer, x, apart)
    return gap(found, expected) / largest(1.0, (gap(each, 0.0) for each in expected))


def _edit_gap(mixer: Mixer, documents: tuple[int, ...]) -> float:
    context = packed_context(context_for(mixer, len(documents)), documents)
    x = tokens(mixer, sum(documents), batch=1)
    before, pairs = mixer(x, context)[0].split(documents, dim=1), []
    for row in range(len(documents)):
        parts = list(x.split(documents, dim=1))
        parts[row] = tokens(mixer, documents[row], batch=1, seed=8)
        after = mixer(torch.cat(parts, dim=1), context)[0].split(documents, dim=1)
        others = [each for each in range(len(documents)) if each != row]
        pairs += [(after[each], before[each]) for each in others]
    return gap(*zip(*pairs, strict=True))


def leaks(build: Build) -> Iterable[Case]:
    """No gradient crosses the boundary of documents."""
    mixer = made(build)
    documents = (2, 3) if mixer.length is None else (mixer.length, mixer.length)
    context = packed_context(context_for(mixer, len(documents)), documents)
    for row in range(len(documents)):

        def error(row: int = row) -> float:
            x = tokens(mixer, sum(documents), batch=1).requires_grad_()
            y, _ = mixer(x, context)
            mine = slice(sum(documents[:row]), sum(documents[: row + 1]))
            (slope,) = torch.autograd.grad(y[:, mine].square().sum(), x)
            slope[:, mine] = 0.0
            return gap(slope, 0.0)

        yield f"documents of {documents} tokens, the gradient of document {row}", error


def padding(build: Build) -> Iterable[Case]:
    """Padding changes nothing."""
    mixer = made(build)
    for length, amount in ((1, 1), (3, 2), (7, 5)):
        for side in ("left", "right"):

            def error(length: int = length, amount: int = amount, side: str = side) -> float:
                x, junk = tokens(mixer, length), 9 * tokens(mixer, amount, seed=8)
                valid = torch.ones(BATCH, length + amount, dtype=torch.bool)
                mine = slice(amount, None) if side == "left" else slice(0, length)
                valid[:, :amount] = side != "left"
                valid[:, length:] = side == "left" if side == "right" else valid[:, length:]
                longer = torch.cat([junk, x] if side == "left" else [x, junk], dim=1)
                context = context_for(mixer, valid=valid)
                y, state = mixer(longer, context)
                expected, own = mixer(x, context_for(mixer))
                worst = gap(y[:, mine], expected)
                if mixer.causal:
                    more = tokens(mixer, 2, seed=3)
                    plain = context_for(mixer)
                    ends = [mixer(more, plain, each)[0] for each in (state, own)]
                    worst = largest(worst, gap(*ends))
                return worst if y.isfinite().all() else torch.inf

            yield f"{length} tokens with {amount} of padding on the {side}", error


def rows(build: Build) -> Iterable[Case]:
    """Rows do not see one another, states follow their rows."""
    mixer = made(build)
    for length in lengths_of(mixer, (1, 6)):

        def error(length: int = length) -> float:
            x, context = tokens(mixer, length, batch=3), context_for(mixer, 3)
            y, state = mixer(x, context)
            worst = gap(mixer(x[1:2], one_row(context, 1))[0], y[1:2])
            if mixer.causal:
                order, more = torch.tensor([2, 0, 0]), tokens(mixer, 2, batch=3, seed=3)
                chosen = mixer(more[order], context, reorder(state, order))[0]
                # The memory is in the state from the first token on.
                worst = largest(worst, gap(chosen, mixer(more, context, state)[0][order]))
            return worst

        yield f"length {length}", error
