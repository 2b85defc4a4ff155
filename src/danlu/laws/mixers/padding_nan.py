"""Laws of padding that holds no numbers: it changes no output, no state and no gradient.

What stands in a padded cell is nobody's business: NaN from a log of zero, an infinity, memory that
was never written.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from danlu.contracts import SequenceContext
from danlu.laws.gaps import gap
from danlu.laws.law import Case, Law, law_of_cases
from danlu.laws.mixers.mixers import STACKS
from danlu.laws.mixers.sequences import BATCH, MEMORY, Build, context_for, gradients, made, tokens
from danlu.mixers import MIXERS
from danlu.mixers.base import Mixer

LENGTH, AMOUNT = 5, 3
KEPT = {
    "left": slice(AMOUNT, None),
    "right": slice(0, LENGTH),
    "both sides": slice(1, LENGTH + 1),
}
"""Where the tokens stand."""
JUNK = (torch.nan, torch.inf, -torch.inf)


def padding(build: Build) -> Iterable[Case]:
    """Outputs, gradients and what follows the state, against padding of zeros."""
    mixer = made(build)
    for form in mixer.forms:
        for side, kept in KEPT.items():
            yield f"{form}, padding on the {side}", partial(_change, mixer, form, kept)


def _change(mixer: Mixer, form: str, kept: slice) -> float:
    return gap(_run(mixer, form, kept, JUNK), _run(mixer, form, kept, (0.0,)))


def _junk(x: Tensor, valid: Tensor, values: tuple[float, ...]) -> Tensor:
    """The values in turn in all cells that are not valid."""
    filling = torch.tensor(values).repeat(x.shape[1])[: x.shape[1]]
    return torch.where(valid[..., None], x, filling[:, None])


def _run(mixer: Mixer, form: str, kept: slice, junk: tuple[float, ...]) -> list[Tensor]:
    """The outputs of the tokens, all gradients, and what two tokens more give."""
    valid = torch.zeros(BATCH, LENGTH + AMOUNT, dtype=torch.bool)
    valid[:, kept] = True
    x = _junk(tokens(mixer, LENGTH + AMOUNT), valid, junk)
    context, after = _context(mixer, junk, valid=valid), []

    def run(x: Tensor) -> Tensor:
        y, state = mixer(x, context, form=form)
        if mixer.causal:
            after.append(mixer(tokens(mixer, 2, seed=3), _context(mixer, junk), state)[0])
        return torch.cat([y[:, kept].flatten(), *(each.flatten() for each in after)])

    return gradients(mixer, x, run)


def _context(mixer: Mixer, junk: tuple[float, ...], **facts: Any) -> SequenceContext:
    """A context whose memory, where there is one, ends in padding as well."""
    context = context_for(mixer, **facts)
    if context.memory is None:
        return context
    keys, _ = context.memory
    valid = torch.ones(keys.shape[:2], dtype=torch.bool)
    valid[:, MEMORY - 2 :] = False
    memory = (_junk(keys, valid, junk), SequenceContext(valid=valid))
    return SequenceContext(memory=memory, **facts)


def takes_padding(build: Build) -> bool:
    """Whether the layer takes rows of other lengths at all."""
    return build().length is None


LAWS: list[Law] = [
    law_of_cases(
        f"{name}/padding-nan",
        "NaN and infinities in padding change no output, no state and no gradient",
        1e-12,
        partial(padding, build),
        oracle="contract",
    )
    for name, build in {
        **{f"mixers/{name}": method.build for name, method in MIXERS.items()},
        **{f"transformer/{name}": build for name, build in STACKS.items()},
    }.items()
    if takes_padding(build)
]
