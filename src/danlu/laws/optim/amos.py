"""Laws of Amos against its algorithm written out for single numbers, and of the kexue schedules."""

import math
from functools import partial
from itertools import product

import numpy as np
import torch
from torch import nn

from danlu.laws.draws import generator, numbers
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Law, Rows, table
from danlu.optim import Amos, AmosForm, AmosSchedule, first_distance, scaled_update, state_bytes

XI, ETAS, BETA, STEPS = 0.05, (0.6, 0.5), 0.95, 40
SHAPES = ((4, 3), (4,))
MOMENTS = ("scalar", "rows", "full")


def _data() -> tuple[list[np.ndarray], np.ndarray]:
    """Start of two tensors and the gradients of every step; these do not follow the tensors."""
    random = numbers()
    return [random.normal(size=shape) for shape in SHAPES], random.normal(size=(STEPS, 4, 4))


def _blocks(shape: tuple[int, ...], moments: str) -> list[np.ndarray]:
    """Masks of the numbers that share a state."""
    each = np.arange(math.prod(shape)).reshape(shape)
    if moments == "full":
        return [each == index for index in range(each.size)]
    if moments == "rows" and len(shape) > 1:
        return [each // math.prod(shape[1:]) == row for row in range(shape[0])]
    return [np.ones(shape, dtype=bool)]


def _published(moments: str, extra: float, mu: float) -> list[np.ndarray]:
    """Algorithm 1 of the paper, block by block, in plain arithmetic."""
    weights, slopes = _data()
    for theta, eta in zip(weights, ETAS, strict=True):
        for block in _blocks(theta.shape, moments):
            v = b = 0.0
            average = np.zeros(int(block.sum()))
            for t in range(1, STEPS + 1):
                gradient = slopes[t - 1, :, : theta.shape[-1]]
                g = (gradient if theta.ndim == 2 else gradient[0])[block]
                square = (g**2).mean()
                v = BETA * v + (1 - BETA) * square
                v_hat = v / (1 - BETA**t)
                c = (1 + 0.25 * math.sqrt(XI) * b) ** -0.5
                d = 1 / (1 + 0.25 * math.sqrt(XI * eta) * b)
                gamma = c * XI**2 * square / v_hat
                delta = d * ((gamma / 2 + extra) * theta[block] + XI * eta * g / math.sqrt(v_hat))
                b += gamma * (1 + b)
                average = mu * average + (1 - mu) * delta
                theta[block] -= average
    return weights


def _amos_error(moments: str, extra: float, mu: float) -> float:
    start, slopes = _data()
    weights = [nn.Parameter(torch.from_numpy(value)) for value in start]
    form = AmosForm(moments=moments)  # type: ignore[arg-type]
    optimizer = Amos(weights, XI, ETAS, beta=BETA, momentum=mu, weight_decay=extra / XI, form=form)
    for slope in torch.from_numpy(slopes):
        weights[0].grad, weights[1].grad = slope[:, :3].clone(), slope[0].clone()
        optimizer.step()
    return largest(
        gap(weight.detach().numpy(), expected)
        for weight, expected in zip(weights, _published(moments, extra, mu), strict=True)
    )


def _memory_error() -> float:
    """Bytes of states against a count by hand, for every shape of the states."""
    weights = [nn.Parameter(torch.ones(shape)) for shape in ((5, 3, 2, 2), (7, 3), (4,))]
    total, n = sum(w.numel() for w in weights), 0.0
    kept = {"scalar": 3, "rows": 5 + 7 + 1, "full": total}
    for (moments, count), mu in product(kept.items(), (0.0, 0.9)):
        form = AmosForm(moments=moments)  # type: ignore[arg-type]
        optimizer = Amos(weights, 0.1, 1.0, momentum=mu, form=form)
        for weight in weights:
            weight.grad = torch.ones_like(weight)
        optimizer.step()
        n += gap(state_bytes(optimizer), weights[0].element_size() * (2 * count + bool(mu) * total))
    return n


def _decay_alone_error() -> float:
    """Zero gradients move nothing."""
    weight = nn.Parameter(torch.ones(3, 2))
    optimizer = Amos([weight], 0.1, 1.0)
    for _ in range(3):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    return gap(weight, 1)


def _recursion_error(kind: str) -> float:
    """Largest relative gap between s_t and exp(-2 S_t), t = 10 ... 20,000, where S is summed up."""
    rate, alignment = 0.01, 0.5
    square = kind == "inverse-square"
    halve_at = (math.sqrt(2) - 1) / (rate * alignment) if square else 1 / (2 * rate * alignment)
    schedule = AmosSchedule(kind=kind, halve_at=halve_at)  # type: ignore[arg-type]
    total, worst = 0.0, 0.0
    for t in range(20_001):
        if t >= 10:
            worst = largest(worst, gap(math.exp(-2 * total) / schedule(t), 1))
        total += rate * alignment * math.exp(-total if square else -2 * total)
    return worst


def _halving_error() -> float:
    return largest(
        gap(AmosSchedule(kind=kind, halve_at=700.0)(700), 0.5)
        for kind in ("inverse-square", "inverse-time")
    )


def _scaled_error() -> float:
    """Steps have the length a0 |e0| s_t and the decay a0^2 s_t / 2q, at any inner rate."""
    rate, q, schedule = 0.02, 0.8, AmosSchedule(kind="inverse-time", halve_at=3.0)
    worst = 0.0
    for inner_rate in (1e-3, 7.0):
        source = generator()
        theta = torch.randn(4, 3, generator=source, dtype=torch.float64)
        weight = nn.Parameter(theta.clone())
        distance = first_distance(weight)
        inner = torch.optim.SGD([weight], lr=inner_rate)
        optimizer = scaled_update(inner, schedule, rate=rate, overlap=q)
        for t in range(6):
            u = torch.randn(4, 3, generator=source, dtype=torch.float64)
            weight.grad = u.clone()
            optimizer.step()
            s = 1 / (t / 3 + 1)
            theta = theta - rate * distance * s * u / u.norm() - rate**2 / (2 * q) * s * theta
        worst = largest(worst, gap(weight, theta))
    return worst


_LAWS: Rows = {
    "closed form": [
        (
            "optim/amos-memory",
            "Amos keeps two numbers for each reduced state, and one for each weight with momentum",
            0.0,
            _memory_error,
        ),
        ("optim/amos-no-gradient", 0.0, _decay_alone_error),
        ("optim/kexue-halving", "both schedules are 1/2 at the chosen step", 1e-15, _halving_error),
    ],
    "definition": [
        ("optim/kexue-scaled-update", 1e-13, _scaled_error),
    ],
}

LAWS: list[Law] = [
    *table(_LAWS),
    *(
        Law(
            f"optim/amos-{moments}-decay-{extra:g}-momentum-{mu:g}",
            "Amos equals algorithm 1 of its paper, number by number",
            1e-12,
            partial(_amos_error, moments, extra, mu),
            oracle="definition",
        )
        for moments, extra, mu in product(MOMENTS, (0.0, 0.01), (0.0, 0.9))
    ),
    *(
        Law(
            f"optim/kexue-{kind}",
            "s_t = exp(-2 S_t) for the summed S, within 0.2 % for t = 10 ... 20,000",
            2e-3,
            partial(_recursion_error, kind),
            oracle="quadrature",
        )
        for kind in ("inverse-square", "inverse-time")
    ),
]
