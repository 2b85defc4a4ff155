"""Cases of the mixers' laws about rows: packed documents, padding, and rows of a batch."""

from collections.abc import Iterable
from functools import partial

import torch

from danlu.contracts import reorder
from danlu.experiments.checks.law import Case
from danlu.experiments.checks.mixers_in_time import lengths_of
from danlu.experiments.checks.sequences import (
    BATCH,
    Build,
    context_for,
    gap,
    made,
    one_row,
    packed_context,
    tokens,
)
from danlu.mixers.base import Mixer

DOCUMENTS = (3, 0, 6, 1)
SKEWED_DOCUMENTS = (33, 1, 1, 0, 1, 1, 1, 1, 1)
"""So unequal that they are mixed one by one."""


def packed(build: Build) -> Iterable[Case]:
    """Packed documents against separate runs, their states by what follows from them."""
    mixer = made(build)
    choices = [(2,), (1, 1), (2, 0, 1), DOCUMENTS, SKEWED_DOCUMENTS]
    if mixer.length is not None:
        choices = [(mixer.length,), (mixer.length, mixer.length)]
    for documents in choices:
        yield f"documents of {documents} tokens", partial(_packed_gap, mixer, documents)


def _packed_gap(mixer: Mixer, documents: tuple[int, ...]) -> float:
    x, context = tokens(mixer, sum(documents), batch=1), context_for(mixer, len(documents))
    found, state = mixer(x, packed_context(context, documents))
    following = tokens(mixer, 2, batch=len(documents), seed=3)
    worst, begin = 0.0, 0
    after = mixer(following, context, state)[0] if mixer.causal else None
    for row, length in enumerate(documents):
        part = slice(begin, begin + length)
        alone = one_row(context, row)
        y, own = mixer(x[:, part], alone)
        worst = max(worst, gap(found[:, part], y))
        if after is not None:
            expected = mixer(following[row : row + 1], alone, own)[0]
            worst = max(worst, gap(after[row : row + 1], expected))
        begin += length
    return worst


def leaks(build: Build) -> Iterable[Case]:
    """The gradient of one packed document by the tokens of the others."""
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
            return slope.abs().max().item()

        yield f"documents of {documents} tokens, the gradient of document {row}", error


def padding(build: Build) -> Iterable[Case]:
    """Padding left and right, and the state behind it, against no padding."""
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
                    worst = max(worst, gap(*ends))
                return worst if y.isfinite().all() else torch.inf

            yield f"{length} tokens with {amount} of padding on the {side}", error


def rows(build: Build) -> Iterable[Case]:
    """A row alone against the row among others, and rows in another order."""
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
                worst = max(worst, gap(chosen, mixer(more, context, state)[0][order]))
            return worst

        yield f"length {length}", error
