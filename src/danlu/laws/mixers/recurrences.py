"""Laws of the linear recurrences beyond their step loops (`definitions_scans`): other forms."""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor

from danlu.laws.draws import standard_normal
from danlu.laws.gaps import gap, largest, relative_gap
from danlu.laws.law import Case, Rows, law_of_cases, stated, table
from danlu.layers.scans import (
    Run,
    delta_scan,
    mean_scan,
    normalised_scan,
    scalar_scan,
    vector_scan,
)

FORMS = ("parallel", "chunked", "recurrent")
HEADS, LENGTH, KEYS, VALUES = 2, 11, 3, 4


def parts() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys, values and a state."""
    q, k = (standard_normal(2, HEADS, LENGTH, KEYS, stream=seed) for seed in (0, 1))
    return (
        q,
        k,
        standard_normal(2, HEADS, LENGTH, VALUES, stream=2),
        standard_normal(2, HEADS, KEYS, VALUES, stream=3),
    )


def runs() -> Iterable[tuple[str, Run]]:
    """Each form by name; chunks that do not divide the length."""
    return [(form, Run(form=form, chunk=4)) for form in FORMS]


def semiseparable() -> Iterable[Case]:
    """Decays for each head are a one-semiseparable matrix."""
    q, k, v, _ = parts()
    decay = standard_normal(2, HEADS, LENGTH, stream=4).sigmoid()
    matrix = torch.zeros(2, HEADS, LENGTH, LENGTH, dtype=torch.float64)
    for i in range(LENGTH):
        for j in range(i + 1):
            matrix[..., i, j] = decay[..., j + 1 : i + 1].prod(-1) * (q[:, :, i] * k[:, :, j]).sum(
                -1
            )
    for name, run in runs():
        yield name, lambda run=run: gap(scalar_scan(q, k, v, decay.log(), run=run)[0], matrix @ v)


def means() -> Iterable[Case]:
    """Means are a softmax over decayed weights, however large."""
    v, bonus = standard_normal(2, LENGTH, 3, stream=1), standard_normal(3, stream=2)
    log_decay = -standard_normal(3, stream=3).exp()
    for size in (1.0, 300.0):
        k = size * standard_normal(2, LENGTH, 3)
        behind = torch.arange(LENGTH)[:, None] - torch.arange(LENGTH)
        scores = k[:, None] + (behind[..., None] - 1) * log_decay
        scores = torch.where((behind == 0)[..., None], k[:, None] + bonus, scores)
        scores = scores.masked_fill((behind < 0)[..., None], -torch.inf)
        expected = (scores.softmax(2) * v[:, None]).sum(2)
        for name, run in runs():
            y = partial(mean_scan, k, v, log_decay, bonus, run=run)
            yield f"{name}, weights e^{size:g}", lambda y=y, e=expected: gap(y()[0], e)


def harsh_decay() -> Iterable[Case]:
    """Forgetting nearly all in float32 is finite and right."""
    q, k, v, state = (part.float() for part in parts())
    for factor in (0.0, 1e-30, 1e-6, 1e-2):
        each = torch.full((2, HEADS, LENGTH, KEYS), factor, dtype=torch.float32).log()
        each[:, :, ::3] = -0.01
        one = each[..., 0]
        for shape, scan, log_decay in (
            ("scalar", partial(scalar_scan, q, k, v), one),
            ("vector", partial(vector_scan, q, k, v), each),
            ("delta", partial(delta_scan, q, k / 4, v, q.sigmoid()[..., 0]), one),
        ):

            def error(scan: partial = scan, log_decay: Tensor = log_decay) -> float:
                log_decay = log_decay.clone().requires_grad_()
                ends = []
                for _, run in runs():
                    y, last = scan(log_decay, state, run=run)
                    total = y.square().sum() + last.square().sum()
                    ends.append([y, last, *torch.autograd.grad(total, log_decay)])
                return largest(relative_gap(end, ends[2]) for end in ends[:2])

            yield f"{shape}, factor {factor:g}", error


def equal_decays() -> float:
    """Equal decays are one decay."""
    q, k, v, state = parts()
    log_decay = -standard_normal(2, HEADS, LENGTH, stream=4).exp()
    each = log_decay[..., None].expand(-1, -1, -1, KEYS)
    worst = gap(
        list(vector_scan(q, k, v, each, state)), list(scalar_scan(q, k, v, log_decay, state))
    )
    constant = log_decay[:1, :, :1]
    repeated = constant.expand(2, -1, LENGTH)
    one, other = (list(scalar_scan(q, k, v, log, state)) for log in (constant, repeated))
    return largest(worst, gap(one, other))


def shared_keys() -> float:
    """A shared key is a repeated key."""
    q, k, v, state = parts()
    log_decay = -standard_normal(2, HEADS, LENGTH, stream=4).exp()
    scans = (
        partial(scalar_scan, v=v, log_decay=log_decay, state=state),
        partial(scalar_scan, v=v, state=state),
        partial(normalised_scan, v=v),
    )
    one = [part[:, :1].abs() for part in (q, k)]  # of weights below 0 there is no mean
    repeated = [part.expand_as(q) for part in one]
    return largest(gap(list(scan(*one)), list(scan(*repeated))) for scan in scans)


ROWS: Rows = {
    "definition": [
        ("semiseparable", 1e-12, semiseparable),
        ("means", 1e-12, means),
    ],
    "self-consistency": [
        ("harsh-decay", 1e-5, harsh_decay),
    ],
}

LAWS = [
    *table(ROWS, law_of_cases, prefix="recurrences/"),
    stated("recurrences/equal-decays", 1e-12, equal_decays, "self-consistency"),
    stated("recurrences/shared-keys", 1e-12, shared_keys, "self-consistency"),
]
