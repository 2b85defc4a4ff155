"""Laws of the scans at every length, decay and type: finite and right, gradients included.

Each scan runs in each form on heads whose decays go from none to e^-1000, one of them with all
decays mixed. What it gives is compared with the recurrence token by token in float64; inputs are
numbers that every type holds.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from danlu.laws.draws import generator
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Case, Law, law_of_cases
from danlu.laws.mixers.definitions_scans import (
    Step,
    averaging,
    by_token,
    fading,
    fading_by_key,
    read_before,
    replacing,
    summing,
)
from danlu.laws.mixers.definitions_steady import selection
from danlu.layers.precision import widened
from danlu.layers.scans import (
    Run,
    delta_scan,
    mean_scan,
    normalised_scan,
    scalar_scan,
    selective_scan,
    vector_scan,
)

DECAYS = (0.0, -0.01, -1.0, -6.0, -30.0, -1e3)
HEADS, KEYS, VALUES = len(DECAYS) + 1, 3, 2
FORMS = ("parallel", "chunked", "recurrent")
LENGTHS = (*range(1, 131), 255, 257, 300, 1000, 2100)
FEW_LENGTHS = (1, 63)
BOUNDS = {
    torch.float64: 1e-11,
    torch.float32: 1e-4,
    torch.bfloat16: 6e-2,
    torch.float16: 1e-2,
}
"""Largest error of each output and gradient, over the size of its head."""
SMALL = 0.5
"""Inputs have a size of 1; what is smaller than this is measured by it."""
LOOSER = {"mean": 10.0, "normalised": 2.0}
"""Exponents of weights e^(8 k) are rounded themselves, and so are sums before they are divided."""

Parts = dict[str, Tensor]
Scan = Callable[[Parts, str], list[Tensor]]
Definition = Callable[[Parts], list[Tensor]]


def drawn(length: int) -> Parts:
    """Inputs of all scans; the last head has the decays of all others in turn by chance."""
    draw = generator(length)
    q, k, v = (torch.randn(1, HEADS, length, n, generator=draw) for n in (KEYS, KEYS, VALUES))
    levels = torch.tensor(DECAYS)
    each = levels[:, None, None].expand(-1, length, KEYS)
    mixed = levels[torch.randint(len(DECAYS), (1, length, KEYS), generator=draw)]
    parts = {
        "queries": 0.5 + q.abs(),
        "keys": 0.5 + k.abs(),
        "q": q,
        "k": k,
        "v": v,
        "log_decay": torch.cat([each, mixed])[None],
        "strength": torch.rand(1, HEADS, length, generator=draw),
        "bonus": torch.randn(HEADS, KEYS, generator=draw),
        "state": torch.randn(1, HEADS, KEYS, VALUES, generator=draw),
    }
    return {name: part.bfloat16().double() for name, part in parts.items()}


# --- the recurrences, token by token -------------------------------------------------------------


def mean_definition(p: Parts) -> list[Tensor]:
    """Means with weights e^(8 k) that decay; of a head the first feature, its heads as channels."""
    k, v, decay, bonus = means_of(p)
    above = below = torch.zeros_like(v[:, 0])
    found = []
    for t in range(v.shape[1]):
        own = (bonus + k[:, t]).exp()
        found.append((above + own * v[:, t]) / (below + own))
        above = decay.exp() * above + k[:, t].exp() * v[:, t]
        below = decay.exp() * below + k[:, t].exp()
    return [torch.stack(found, dim=1)[:, None].mT]


def selective_definition(p: Parts) -> list[Tensor]:
    """States h = e^(d A) h + d x b' and y = h c; heads are channels."""
    y, h = selection(*selected(p))
    return [y[:, None].mT, h[:, :, None]]


def unit(k: Tensor) -> Tensor:
    """Keys of norm 1."""
    return k / k.norm(dim=-1, keepdim=True)


def means_of(p: Parts) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logarithms of weights, values, decays and bonus, `[batch, length, channels]`."""
    k, v = (p[name][..., 0].transpose(1, 2) for name in ("k", "v"))
    return 8 * k, v, p["log_decay"][0, :, 0, 0], p["bonus"][:, 0]


def selected(p: Parts) -> tuple[Tensor, ...]:
    """Inputs, steps, rates, writing, reading and state of the selective scan."""
    x = p["v"][..., 0].transpose(1, 2)
    delta = p["strength"].transpose(1, 2)
    rate = widened(p["log_decay"][0, :, 0]) * widened(p["bonus"]).abs()
    write, read = (p[name][:, 0] for name in ("k", "q"))
    return x, delta, rate, write, read, p["state"][..., 0]


# --- the scans -----------------------------------------------------------------------------------


def by_scalar(p: Parts, form: str) -> list[Tensor]:
    """`scalar_scan` with decays."""
    parts = (p["q"], p["k"], p["v"], p["log_decay"][..., 0], widened(p["state"]))
    return list(scalar_scan(*parts, run=Run(form=form)))


def by_sums(p: Parts, form: str) -> list[Tensor]:
    """`scalar_scan` without decays."""
    return list(scalar_scan(p["q"], p["k"], p["v"], None, widened(p["state"]), run=Run(form=form)))


def by_vector(p: Parts, form: str, bonus: Tensor | None = None) -> list[Tensor]:
    """`vector_scan`."""
    parts = (p["q"], p["k"], p["v"], p["log_decay"], widened(p["state"]))
    return list(vector_scan(*parts, bonus=bonus, run=Run(form=form)))


def by_delta(p: Parts, form: str) -> list[Tensor]:
    """`delta_scan` with decays."""
    log_decay, state = p["log_decay"][..., 0], widened(p["state"])
    parts = (p["q"], unit(widened(p["k"])), p["v"], p["strength"], log_decay, state)
    return list(delta_scan(*parts, run=Run(form=form)))


def by_normalised(p: Parts, form: str) -> list[Tensor]:
    """`normalised_scan` of positive features."""
    parts = (p["queries"], p["keys"], p["v"], _sums(p))
    return list(normalised_scan(*parts, run=Run(form=form)))


def _sums(p: Parts) -> Tensor:
    return torch.cat([widened(p["state"]), widened(p["bonus"]).abs()[None, ..., None]], dim=-1)


def by_mean(p: Parts, form: str) -> list[Tensor]:
    """`mean_scan`, whose state is in another form."""
    return [mean_scan(*means_of(p), run=Run(form=form))[0][:, None].mT]


def by_selection(p: Parts, form: str) -> list[Tensor]:
    """The selective scan in its three forms."""
    scans = {
        "parallel": selective_scan.at_once,
        "chunked": selective_scan.in_chunks,
        "recurrent": selective_scan.one_by_one,
    }
    y, h = scans[form](*map(widened, selected(p)))
    return [y[:, None].mT, h[:, :, None]]


def stepped(step: Step, *names: str) -> Definition:
    """The recurrence of a step over inputs by their names; a decay of a head is its first one."""

    def definition(p: Parts) -> list[Tensor]:
        known = {**p, "decay": p["log_decay"][..., 0], "unit": unit(p["k"]), "sums": _sums(p)}
        return list(by_token(step, *(known[name] for name in names)))

    return definition


def by_bonus(p: Parts, form: str) -> list[Tensor]:
    """`vector_scan` that reads first."""
    return by_vector(p, form, p["bonus"])


def bonus_definition(p: Parts) -> list[Tensor]:
    """Reads o = (S + diag(u) k v')' q, and then S = diag(g) S + k v'."""
    return stepped(partial(read_before, p["bonus"]), "q", "k", "v", "log_decay", "state")(p)


SCANS: dict[str, tuple[Scan, Definition]] = {
    "scalar": (by_scalar, stepped(fading, "q", "k", "v", "decay", "state")),
    "sums": (by_sums, stepped(summing, "q", "k", "v", "state")),
    "vector": (by_vector, stepped(fading_by_key, "q", "k", "v", "log_decay", "state")),
    "bonus": (by_bonus, bonus_definition),
    "delta": (by_delta, stepped(replacing, "q", "unit", "v", "strength", "decay", "state")),
    "normalised": (by_normalised, stepped(averaging, "queries", "keys", "v", "sums")),
    "mean": (by_mean, mean_definition),
    "selective": (by_selection, selective_definition),
}


# --- the comparison ------------------------------------------------------------------------------


def with_slopes(
    run: Callable[[Parts], list[Tensor]], parts: Parts, signed: Callable[[Tensor], Tensor] = widened
) -> list[Tensor]:
    """Outputs, and the gradients by all inputs of a weighing of them by such signs."""
    leaves = {name: part.clone().requires_grad_() for name, part in parts.items()}
    outputs, draw = run(leaves), generator(7)
    # Weights that every type holds: their rounding is no error of the scan.
    weights = [torch.randn(part.shape, generator=draw).bfloat16() for part in outputs]
    total = sum((widened(y) * signed(w)).sum() for y, w in zip(outputs, weights, strict=True))
    found = torch.autograd.grad(torch.as_tensor(total), list(leaves.values()), allow_unused=True)
    return [*outputs, *(slope for slope in found if slope is not None)]


def error(name: str, expected: list[Tensor], sizes: list[Tensor], parts: Parts, form: str) -> float:
    """Largest error of all outputs and gradients, over the bound of the type."""
    found = with_slopes(lambda p: SCANS[name][0](p, form), parts)
    bound = BOUNDS[parts["v"].dtype] * LOOSER.get(name, 1.0)
    return largest(_by_head(*each) for each in zip(found, expected, sizes, strict=True)) / bound


def sizes_of(definition: Definition, parts: Parts, expected: list[Tensor]) -> list[Tensor]:
    """Of outputs and gradients the numbers themselves, or what their terms add up to if larger.

    Terms that cancel leave their rounding behind, so that is relative to them. Their sum is what
    the recurrence makes of inputs and weights above 0.
    """
    above = {key: part if key == "log_decay" else part.abs() for key, part in parts.items()}
    terms = with_slopes(definition, above, torch.abs)
    assert all(bool(part.isfinite().all()) for part in terms)
    pairs = zip(expected, terms, strict=True)
    return [torch.maximum(one.detach().abs(), other.detach().abs()) for one, other in pairs]


def _by_head(found: Tensor, expected: Tensor, sizes: Tensor) -> float:
    """The largest error over the size of each head; at least `SMALL`."""
    axis, worst = expected.shape.index(HEADS), 0.0
    heads = (part.unbind(axis) for part in (found, expected, sizes))
    for one, other, size in zip(*heads, strict=True):
        if gap(other, 0.0) < torch.finfo(found.dtype).max:  # or the type has no such number
            worst = largest(worst, gap(one, other) / max(SMALL, size.max().item()))
    return worst


def sweep(
    name: str, lengths: Iterable[int], dtypes: Iterable[Any] = tuple(BOUNDS), forms: Any = FORMS
) -> Iterable[Case]:
    """Errors of a scan in all lengths, types and forms, over their bounds."""
    definition = SCANS[name][1]
    for length in lengths:
        exact = drawn(length)
        expected = with_slopes(definition, exact)
        sizes = sizes_of(definition, exact, expected)
        for dtype in dtypes:
            parts = {key: part.to(dtype) for key, part in exact.items()}
            for form in forms:
                case = partial(error, name, expected, sizes, parts, form)
                yield f"{length} tokens, {str(dtype)[6:]}, {form}", case


LAWS: list[Law] = [
    law_of_cases(
        f"recurrences/sweep-{name}",
        "any decay in any type is finite and the recurrence, gradients too, by each type's bound",
        1.0,
        partial(sweep, name, FEW_LENGTHS, forms=FORMS[:2]),
        oracle="definition",
    )
    for name in SCANS
]
