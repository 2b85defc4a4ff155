"""Cases of the mixers' laws about time: forms, cuts, steps, the future, and the state's size."""

from collections.abc import Iterable
from typing import Any

import torch

from danlu.contracts import state_bytes
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Case
from danlu.laws.mixers.sequences import Build, context_for, gradients, made, tokens
from danlu.mixers.base import Mixer

LENGTHS = (1, 5, 33)


def lengths_of(mixer: Mixer, lengths: Iterable[int] = LENGTHS) -> list[int]:
    """The lengths to try: the only one that the layer takes, where there is only one."""
    return list(lengths) if mixer.length is None else [mixer.length]


def forms(build: Build) -> Iterable[Case]:
    """All forms agree, outputs and gradients."""
    mixer = made(build)
    for length in lengths_of(mixer):
        for form in mixer.forms[1:]:

            def error(length: int = length, form: str = form) -> float:
                x, context = tokens(mixer, length), context_for(mixer)
                runs = [
                    gradients(mixer, x, lambda x, f=f: mixer(x, context, form=f)[0])
                    for f in (mixer.forms[0], form)
                ]
                worst = gap(runs[1], runs[0])
                if not mixer.causal:
                    return worst
                _, state = mixer(tokens(mixer, 3, seed=1), context)
                ends = [mixer(x, context, state, form=f) for f in (mixer.forms[0], form)]
                return largest(worst, gap(ends[1], ends[0]))

            yield f"length {length}, form {form}", error


def splits(build: Build) -> Iterable[Case]:
    """Cut anywhere and continued equals the whole."""
    mixer = made(build)
    for length in (1, 2, 7):
        x, context = tokens(mixer, length), context_for(mixer)
        whole = gradients(mixer, x, lambda x, c=context: mixer(x, c)[0])
        for cut in range(length + 1):

            def error(cut: int = cut, x: torch.Tensor = x, whole: Any = whole) -> float:
                context = context_for(mixer)

                def in_two(x: torch.Tensor) -> torch.Tensor:
                    first, state = mixer(x[:, :cut], context)
                    return torch.cat([first, mixer(x[:, cut:], context, state)[0]], dim=1)

                return gap(gradients(mixer, x, in_two), whole)

            yield f"length {length}, cut after {cut}", error


def steps(build: Build) -> Iterable[Case]:
    """Token by token equals all at once."""
    mixer = made(build)
    for length in (1, 2, 9):
        for begun in (0, 4):

            def error(length: int = length, begun: int = begun) -> float:
                x, context = tokens(mixer, length + begun), context_for(mixer)
                whole, last = mixer(x, context)
                state = mixer(x[:, :begun], context)[1] if begun else None
                found = []
                for token in x[:, begun:].unbind(1):
                    y, state = mixer.step(token, state, context)
                    found.append(y)
                assert state is not None
                assert last is not None
                ours = [torch.stack(found, 1), state["position"]]
                return gap(ours, [whole[:, begun:], last["position"]])

            yield f"{length} steps after {begun} tokens", error


def future(build: Build) -> Iterable[Case]:
    """Replacing the future leaves the past."""
    mixer = made(build)
    for length in lengths_of(mixer, (2, 5, 33)):
        for kept in sorted({1, length // 2, length - 1}):

            def error(length: int = length, kept: int = kept) -> float:
                x, other = tokens(mixer, length), tokens(mixer, length, seed=1)
                changed = torch.cat([x[:, :kept], 5 * other[:, kept:]], dim=1)
                context = context_for(mixer)
                ends = [mixer(each, context)[0][:, :kept] for each in (x, changed)]
                return gap(*ends)

            yield f"length {length}, tokens from {kept} on replaced", error


def jacobian(build: Build) -> Iterable[Case]:
    """The Jacobian is zero in the future."""
    mixer = made(build)
    for length in lengths_of(mixer, (2, 5)):

        def error(length: int = length) -> float:
            context = context_for(mixer, 1)
            x = tokens(mixer, length, batch=1)
            found = torch.autograd.functional.jacobian(lambda x: mixer(x, context)[0], x)
            by_token = found[0].abs().amax((1, 2, 4))  # [output token, input token]
            return gap(by_token.triu(1), 0.0)

        yield f"length {length}", error


def prefixes(build: Build) -> Iterable[Case]:
    """Every length gives the outputs of a longer one."""
    mixer = made(build)
    for length in (1, 2, 3, 17, 33):

        def error(length: int = length) -> float:
            x, context = tokens(mixer, 40), context_for(mixer)
            nothing = mixer(x[:, :0], context)[0]
            found = mixer(x[:, :length], context)[0]
            return gap([nothing, found], [x[:, :0, : mixer.dim], mixer(x, context)[0][:, :length]])

        yield f"length {length}", error


def state_size(build: Build) -> Iterable[Case]:
    """The state does not grow."""
    mixer = made(build)

    def error() -> float:
        sizes = [state_bytes(mixer(tokens(mixer, n), context_for(mixer))[1]) for n in (24, 25, 57)]
        return gap(torch.tensor(sizes), sizes[0])

    yield "24 tokens against 25 and 57", error
