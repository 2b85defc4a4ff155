r"""Schedules: factors on an optimiser's fields as pure functions of the budget's fraction.

With $u \in [0, 1]$ the part of the budget that is spent, the factor is $s(u)$ times the warm-up
$w(u) = \min(1, w_0 + (1 - w_0)\, u / \text{warmup})$, $w_0 = 0.1$ (so that the first step is not
lost). Being functions of $u$ alone, they serve budgets in minutes and in steps alike, and a run
that gets a larger budget goes on from where its fraction then stands.

Members: constant $1$; linear $1 - u$; cosine $(1 + \cos \pi u)/2$; sqrt $\sqrt{1 - u}$; and, with
$x = 10u$, two that are halved after a tenth of the budget: inverse-square
$((\sqrt 2 - 1)x + 1)^{-2}$ and inverse-time $(x + 1)^{-1}$.

Sources: arXiv:1608.03983 eq. 5 (cosine); arXiv:1606.00915 section 4.1 (polynomial decay);
arXiv:1706.02677 section 2.2 (gradual warm-up); kexue.fm/archives/9344 (inverse square and time).
"""

import math
from collections.abc import Callable

from torch.optim import Optimizer

from danlu.contracts import DanluError, Method, unknown
from danlu.optim.options import OptimizerOptions

Factor = Callable[[float], float]

FIRST = 0.1
"""The warm-up's factor at the first step."""
HALVED = 0.1
"""Fraction of the budget after which the inverse schedules are at 1/2."""


def constant(fraction: float) -> float:
    """No change."""
    return 1.0


def linear(fraction: float) -> float:
    """Straight down to zero."""
    return 1.0 - fraction


def cosine(fraction: float) -> float:
    """Half a cosine down to zero."""
    return (1.0 + math.cos(math.pi * fraction)) / 2.0


def sqrt(fraction: float) -> float:
    """Slow at first, steep at the end; keeps the rate high in short runs."""
    return math.sqrt(max(0.0, 1.0 - fraction))


def inverse_square(x: float) -> float:
    """Falls as x^-2 in the end; 1/2 at x = 1."""
    return ((math.sqrt(2.0) - 1.0) * x + 1.0) ** -2


def inverse_time(x: float) -> float:
    """Falls as 1/x in the end; 1/2 at x = 1."""
    return 1.0 / (x + 1.0)


def halved(factor: Factor) -> Factor:
    """The factor of the fraction instead of x, 1/2 at the fraction `HALVED`."""
    return lambda fraction: factor(fraction / HALVED)


def warmed(factor: Factor, warmup: float) -> Factor:
    """The same schedule after a linear climb over the first `warmup` of the budget."""

    def with_warmup(fraction: float) -> float:
        if fraction >= warmup:
            return factor(fraction)
        return factor(fraction) * (FIRST + (1.0 - FIRST) * fraction / warmup)

    return with_warmup


def _row(factor: Factor, *sources: str) -> Method:
    return Method(factor, sources, lambda: factor)


SCHEDULES: dict[str, Method] = {
    "constant": _row(constant, "arXiv:1706.02677 section 2.2"),
    "linear": _row(linear, "arXiv:1810.04805 appendix A.2"),
    "cosine": _row(cosine, "arXiv:1608.03983 eq. 5"),
    "sqrt": _row(sqrt, "arXiv:1606.00915 section 4.1 (polynomial decay; here of power 1/2)"),
    "inverse-square": Method(
        inverse_square, ("kexue.fm/archives/9344",), lambda: halved(inverse_square)
    ),
    "inverse-time": Method(inverse_time, ("kexue.fm/archives/9344",), lambda: halved(inverse_time)),
}


def schedule(name: str) -> Factor:
    """The factor behind a name in `SCHEDULES`.

    Raises:
        DanluError: there is no such schedule; the message has the nearest name.
    """
    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    return SCHEDULES[name].build()


class Scheduled:
    """Sets the scheduled fields of an optimiser's groups from the fraction."""

    def __init__(self, optimizer: Optimizer, options: OptimizerOptions) -> None:
        self.optimizer = optimizer
        factors = {field: schedule(name) for field, name in options.schedules.items()}
        factors["lr"] = warmed(schedule(options.schedule), options.warmup)
        for field in factors:
            if not isinstance(optimizer.param_groups[0].get(field), float):
                raise DanluError(f"{type(optimizer).__name__} has no number {field!r} to schedule.")
        self._rows = [
            (index, field, float(group[field]), factor)
            for index, group in enumerate(optimizer.param_groups)
            for field, factor in factors.items()
        ]

    def set(self, fraction: float) -> None:
        """Go to a fraction of the budget."""
        groups = self.optimizer.param_groups
        for index, field, base, factor in self._rows:
            groups[index][field] = base * factor(fraction)

    @property
    def rate(self) -> float:
        """The learning rate of the first group now."""
        return self.optimizer.param_groups[0]["lr"]
