"""Definitions of the recurrences: each scan token by token, with padding and a state before."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from danlu.laws.gaps import gap, largest
from danlu.laws.mixers.definitions import Errors, compared, module_laws, numbers
from danlu.layers.scans import (
    Mean,
    Run,
    delta_scan,
    divided,
    mean_scan,
    normalised_scan,
    relative,
    scalar_scan,
    vector_scan,
)
from danlu.layers.scans.scalar import running, step_of_sums

HEADS, KEYS, VALUES = 2, 3, 4
SHORT, LONG = 11, 70

Scan = Callable[..., tuple[Tensor, Tensor]]
Step = Callable[..., tuple[Tensor, Tensor]]
"""What a token reads, and the state after it."""


def runs(length: int) -> list[Run]:
    """Each form with padding behind the second row, and the chunk of the scan itself."""
    valid = torch.arange(length) < torch.tensor([length, length - 3])[:, None]
    if length == LONG:
        return [Run(), Run(valid=valid)]
    forms = ("parallel", "chunked", "recurrent")
    return [Run(form=form, chunk=4, valid=each) for form in forms for each in (None, valid)]


def flat(y: Tensor, state: Tensor, valid: Tensor | None) -> Tensor:
    """The outputs of tokens and the state as one row."""
    if valid is not None:
        y = torch.where(valid[:, None, :, None], y, 0.0)
    return torch.cat([y.flatten(), state.flatten()])


def by_token(step: Step, *inputs: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The last input is the state, the others go token by token; padding is passed over."""
    *parts, state = inputs
    rows = []
    for t in range(parts[0].shape[2]):
        y, new = step(*(part[:, :, t] for part in parts), state)
        here = None if valid is None else valid[:, t, None, None, None]
        state = new if here is None else torch.where(here, new, state)
        rows.append(y)
    return torch.stack(rows, dim=2), state


def recurrence(scan: Scan, step: Step, inputs: Callable[[int], list[Tensor]]) -> float:
    """A scan against its steps in all forms, and without a state before."""
    worst = 0.0
    for length in (SHORT, LONG):
        given = inputs(length)
        for run in runs(length):

            def found(*parts: Tensor, run: Run = run) -> Tensor:
                return flat(*scan(*parts, run=run), run.valid)

            def expected(*parts: Tensor, run: Run = run) -> Tensor:
                return flat(*by_token(step, *parts, valid=run.valid), run.valid)

            worst = largest(worst, compared(found, expected, given))
    *parts, state = inputs(SHORT)
    first, started = scan(*parts, None), scan(*parts, torch.zeros_like(state))
    return largest(worst, gap(first, started))


def outer(k: Tensor, v: Tensor) -> Tensor:
    """The product of a column and a row."""
    return k[..., :, None] * v[..., None, :]


def read(q: Tensor, state: Tensor) -> Tensor:
    """The sum of q_d S_d."""
    return (q[..., None] * state).sum(-2)


def matrices(length: int) -> list[Tensor]:
    """Queries, keys, values and a state."""
    shapes = [KEYS, KEYS, VALUES]
    parts = [numbers(2, HEADS, length, size, stream=n) for n, size in enumerate(shapes)]
    return [*parts, numbers(2, HEADS, KEYS, VALUES, stream=3)]


def faded(length: int, *axes: int) -> list[Tensor]:
    """The same with logarithms of decays before the state."""
    *parts, state = matrices(length)
    return [*parts, -numbers(2, HEADS, length, *axes, stream=4).exp(), state]


# --- what a token does ---------------------------------------------------------------------------


def summing(q: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """S = S + k v, o = S q."""
    state = state + outer(k, v)
    return read(q, state), state


def fading(q: Tensor, k: Tensor, v: Tensor, log: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """S = g S + k v, o = S q, with a number g for each head."""
    return summing(q, k, v, log.exp()[..., None, None] * state)


def fading_by_key(
    q: Tensor, k: Tensor, v: Tensor, log: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """The same with a number for each feature of the key."""
    return summing(q, k, v, log.exp()[..., None] * state)


def read_before(
    bonus: Tensor, q: Tensor, k: Tensor, v: Tensor, log: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """O = (S + u k v) q, and then S = g S + k v."""
    y = read(q, state + outer(bonus * k, v))
    return y, log.exp()[..., None] * state + outer(k, v)


def replacing(
    q: Tensor, k: Tensor, v: Tensor, strength: Tensor, log: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """S = g (1 - b k k) S + b k v, o = S q for keys of norm 1."""
    state = log.exp()[..., None, None] * state
    strength = strength[..., None, None]
    state = state - strength * outer(k, read(k, state)) + strength * outer(k, v)
    return read(q, state), state


def averaging(q: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of k v and, in the last column, of k, whose quotient is read."""
    both, state = summing(q, k, torch.cat([v, torch.ones_like(v[..., :1])], dim=-1), state)
    return both[..., :-1] / both[..., -1:], state


# --- the scans -----------------------------------------------------------------------------------


def scalar() -> float:
    """S_t = g_t S_(t-1) + k_t v_t; a constant decay, none, and one head of keys for all."""

    def sums(q: Tensor, k: Tensor, v: Tensor, state: Tensor | None, **facts: Any) -> tuple:
        return scalar_scan(q, k, v, None, state, **facts)

    q, k, v, log, state = faded(SHORT)
    constant = log[:1, :, :1]
    everywhere = constant.expand_as(log)
    one = scalar_scan(q[:, :1], k[:, :1], v, constant, state)
    keys = (part[:, :1].expand_as(part) for part in (q, k))
    return largest(
        recurrence(scalar_scan, fading, faded),
        recurrence(sums, summing, matrices),
        gap(one, by_token(fading, *keys, v, everywhere, state)),
    )


def running_sums() -> float:
    """The state before each chunk and behind the last, from what one head adds for both."""
    before, new = numbers(2, HEADS, KEYS, VALUES), numbers(2, 1, 5, KEYS, VALUES, stream=1)
    expected = [before + new[:, :, :n].sum(2) for n in range(6)]
    return gap(running(before, new), torch.stack(expected, dim=2))


def one_token() -> float:
    """S + k v, and what a query reads of it."""
    q, k, v, state = (part[:, :, 0] if part.shape[2] == 1 else part for part in matrices(1))
    after = state + outer(k, v)
    return gap(step_of_sums(q, k, v, state), (read(q, after), after))


def vector() -> float:
    """S_t = g_t * S_(t-1) + k_t v_t, read after it, or before it with a bonus for the token."""

    def inputs(length: int) -> list[Tensor]:
        return faded(length, KEYS)

    bonus = numbers(HEADS, KEYS, stream=5)
    return largest(
        recurrence(vector_scan, fading_by_key, inputs),
        recurrence(partial(vector_scan, bonus=bonus), partial(read_before, bonus), inputs),
    )


def delta() -> float:
    """S_t = g (I - b k k^T) S_(t-1) + b k v, with a decay and without."""

    def inputs(length: int) -> list[Tensor]:
        q, k, v, log, state = faded(length)
        strength = 2 * numbers(2, HEADS, length, stream=5).sigmoid()
        return [q, k / k.norm(dim=-1, keepdim=True), v, strength, log, state]

    q, k, v, strength, log, state = inputs(SHORT)
    plain = delta_scan(q, k, v, strength, None, state)
    kept = by_token(replacing, q, k, v, strength, 0 * log, state)
    return largest(recurrence(delta_scan, replacing, inputs), gap(plain, kept))


def normalised() -> float:
    """Sums of k_t v_t and of k_t, whose quotient is read; and 0 where nothing is seen."""

    def inputs(length: int) -> list[Tensor]:
        q, k, v, state = matrices(length)
        state = torch.cat([state, state[..., :1].abs() + 1], dim=-1)
        return [q.exp(), k.exp(), v, state]

    q, k, v, _ = matrices(SHORT)
    nothing = gap(normalised_scan(q, 0 * k, v)[0], torch.zeros_like(v))
    return largest(recurrence(normalised_scan, averaging, inputs), nothing)


def quotients() -> float:
    """Sums over their weights, 0 where both are."""
    y, weight = numbers(3, 4), numbers(3, 1, stream=1).exp()
    both = torch.cat([weight, 0 * weight])
    found = divided(torch.cat([y, 0 * y])[None, None], both[None, None])[0, 0]
    return gap(found, torch.cat([y / weight, 0 * y]))


def exponents() -> float:
    """Factors e^{m_t - M_t} and fading M_{t-1} - M_t with M_t the largest exponent up to t."""
    exponent, before = 9 * numbers(2, SHORT, 6), 5 * numbers(2, SHORT, stream=1)
    valid = torch.ones(2, 6, dtype=torch.bool)
    valid[0, 2] = valid[1, 0] = False
    found, factors, fading, most = relative(exponent, before, valid), [], [], before
    for t in range(6):
        here = valid[:, None, t]
        seen = torch.where(here & (exponent[..., t] > most), exponent[..., t], most)
        factors.append(torch.where(here, (exponent[..., t] - seen).exp(), 0.0))
        fading.append(most - seen)
        most = seen
    return gap(list(found), [torch.stack(factors, -1), torch.stack(fading, -1), most])


def means() -> float:
    """Weights e^{k_i + (t-1-i) w} of tokens before and e^{u + k_t}, behind sums before."""
    worst, log, bonus = 0.0, -numbers(3, stream=1).exp(), numbers(3, stream=2)
    sums = [numbers(2, 3, stream=3), numbers(2, 3, stream=4).exp(), numbers(2, 3, stream=5)]
    for length in (SHORT, 35):
        k, v = numbers(2, length, 3, stream=6), numbers(2, length, 3, stream=7)
        for run in runs(length) if length == SHORT else [Run()]:
            valid = torch.ones(2, length, dtype=torch.bool) if run.valid is None else run.valid

            def found(*parts: Tensor, run: Run = run, valid: Tensor = valid) -> Tensor:
                k, v, log, bonus, *sums = parts
                y, state = mean_scan(k, v, log, bonus, Mean(*sums), run=run)
                size = state.exponent.exp()
                ends = [size * state.numerator, size * state.denominator]
                return torch.cat([(y * valid[..., None]).flatten(), *(e.flatten() for e in ends)])

            worst = largest(
                worst, compared(found, partial(_means, valid=valid), [k, v, log, bonus, *sums])
            )
    k, v = numbers(2, SHORT, 3, stream=6), numbers(2, SHORT, 3, stream=7)
    everyone = torch.ones(2, SHORT, dtype=torch.bool)
    expected = _means(k, v, log, bonus, *torch.zeros(3, 2, 3), valid=everyone)
    expected = expected[: k.numel()].view_as(k)
    return largest(worst, gap(mean_scan(k, v, log, bonus)[0], expected))


def _means(
    k: Tensor, v: Tensor, log: Tensor, bonus: Tensor, *sums: Tensor, valid: Tensor
) -> Tensor:
    numerator, denominator, exponent = sums
    top, bottom, rows = exponent.exp() * numerator, exponent.exp() * denominator, []
    for t in range(k.shape[1]):
        own, here = (bonus + k[:, t]).exp(), valid[:, t, None]
        rows.append(here * (top + own * v[:, t]) / (bottom + own))
        new = k[:, t].exp()
        top = torch.where(here, log.exp() * top + new * v[:, t], top)
        bottom = torch.where(here, log.exp() * bottom + new, bottom)
    return torch.cat([torch.stack(rows, dim=1).flatten(), top.flatten(), bottom.flatten()])


DEFINED: dict[str, Errors] = {
    "delta": {"delta_scan": delta},
    "mean": {"mean_scan": means},
    "normalised": {
        "divided": quotients,
        "normalised_scan": normalised,
        "relative": exponents,
    },
    "scalar": {"running": running_sums, "scalar_scan": scalar, "step_of_sums": one_token},
    "vector": {"vector_scan": vector},
}
"""Every public function of these modules, with the error against its definition."""

LAWS = module_laws(DEFINED)
