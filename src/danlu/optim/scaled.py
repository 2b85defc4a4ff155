r"""Two schedules of learning rate and weight decay for any optimiser, from how Amos is derived.

Let $u_t$ be the update that an optimiser proposes for a tensor $\theta$, and $\varepsilon$ its
distance from where training ends. With $\alpha_0$ the relative step (`lr`),

$\theta_{t+1} = \theta_t - (\alpha_t u_t + \rho_t \theta_t), \qquad
\alpha_t = \alpha_0 \frac{\lVert\varepsilon_0\rVert}{\lVert u_t\rVert} s_t, \qquad
\rho_t = \frac{\alpha_0^2}{2q} s_t,$

asks that what the update's own length adds to $\lVert\varepsilon\rVert^2$ is taken away by the
decay, $\alpha_t^2 \lVert u_t\rVert^2 = 2\rho_t\,\theta\cdot\varepsilon$ with
$\theta\cdot\varepsilon = q\lVert\varepsilon\rVert^2$, and $s_t$ is how
$\lVert\varepsilon\rVert^2$ falls, where $p = \cos(u, \varepsilon)$:

| schedule | assumes | $s_t$ | halved at T when |
|---|---|---|---|
| `inverse-square` | p constant | $(\alpha_0 p\,t + 1)^{-2}$ | $\alpha_0 p\,T = \sqrt 2 - 1$ |
| `inverse-time` | $p = p_0 \sqrt{s_t}$ | $(2\alpha_0 p_0 t + 1)^{-1}$ | $2\alpha_0 p_0 T = 1$ |

$\lVert\varepsilon_0\rVert = \sqrt k\,\sigma$ for k numbers, with $\sigma$ the standard deviation
at the start for kernels and 1/2 for vectors; the derivation has $\sqrt{2k}\,\sigma$ for kernels
and drops the 2. Tensors that start at 0 have none: they take $\sigma = 1/\sqrt{\text{in}}$.

When to use it: $\alpha_0 = 10^{-3}$, or $10^{-2}$ for easy tasks, replaces the tuning of a rate,
and one number T that of a schedule and a weight decay. The optimiser's own rate cancels.

Source: kexue.fm/archives/9344 (after arXiv:2210.11693).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import override

from danlu.contracts import DanluError
from danlu.optim.schedules import inverse_square, inverse_time

VECTOR_SIGMA = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class AmosSchedule:
    """The factor $s_t$ as a function of the step.

    Attributes:
        kind: which assumption, see the module.
        halve_at: the step T at which it is 1/2.
    """

    kind: Literal["inverse-square", "inverse-time"] = "inverse-time"
    halve_at: float

    def __post_init__(self) -> None:
        if not self.halve_at > 0:
            raise DanluError(f"halve_at must be a positive number of steps, got {self.halve_at}.")

    def __call__(self, step: int) -> float:
        """The factor of a step, 1 at step 0."""
        factor = inverse_square if self.kind == "inverse-square" else inverse_time
        return factor(step / self.halve_at)


class ScaledUpdate(Optimizer):
    """An optimiser whose updates are scaled; see the module docstring.

    Its groups have `lr` (the relative step), `distances` (one for each parameter) and `step`.
    """

    def __init__(
        self, inner: Optimizer, schedule: AmosSchedule, *, rate: float, overlap: float
    ) -> None:
        if any(group.get("weight_decay") for group in inner.param_groups):
            raise DanluError("scaled_update brings its own decay; set weight_decay=0.0 inside it.")
        self.inner, self.schedule, self.overlap = inner, schedule, overlap
        groups = [
            {"params": group["params"], "distances": [first_distance(p) for p in group["params"]]}
            for group in inner.param_groups
        ]
        super().__init__(groups, {"lr": rate, "step": 0})

    @torch.no_grad()
    @override
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore
        before = [[p.detach().clone() for p in group["params"]] for group in self.param_groups]
        loss = self.inner.step() if closure is None else self.inner.step(closure)
        for group, starts in zip(self.param_groups, before, strict=True):
            for p, start, distance in zip(group["params"], starts, group["distances"], strict=True):
                if p.grad is not None:
                    self._place(p, start, distance, group)
            group["step"] += 1
        return loss

    @override
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "inner": self.inner.state_dict()}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        outer = dict(state_dict)
        self.inner.load_state_dict(outer.pop("inner"))
        super().load_state_dict(outer)

    def _place(self, p: Tensor, start: Tensor, distance: float, group: dict[str, Any]) -> None:
        factor, rate = self.schedule(group["step"]), group["lr"]
        update = start - p
        # Where nothing is proposed, only the decay acts.
        length = torch.linalg.vector_norm(update).clamp_min(torch.finfo(p.dtype).tiny)
        decay = rate**2 / (2 * self.overlap) * factor
        p.copy_(start.mul_(1 - decay).sub_(update.mul_(rate * distance * factor / length)))


def scaled_update(
    optimizer: Optimizer,
    schedule: AmosSchedule,
    *,
    rate: float = 1e-3,
    overlap: float = 1.0,
) -> ScaledUpdate:
    r"""Wrap an optimiser so that its updates have scheduled lengths and their own decay.

    Args:
        optimizer: whose update directions are taken; its rate cancels, its decay must be 0.
        schedule: how steps and decay fall together.
        rate: the relative step $\alpha_0$.
        overlap: q, how much of a weight points away from where training ends.

    Raises:
        DanluError: the optimiser decays weights, or a number is not positive.
    """
    if not (rate > 0 and overlap > 0):
        raise DanluError(f"rate and overlap must be positive, got {rate} and {overlap}.")
    return ScaledUpdate(optimizer, schedule, rate=rate, overlap=overlap)


def first_distance(p: Tensor) -> float:
    """How far a tensor is thought to be from its end when training starts."""
    if p.ndim < 2:
        sigma = VECTOR_SIGMA
    else:
        sigma = p.detach().square().mean().sqrt().item() or 1 / math.sqrt(p[0].numel())
    return math.sqrt(p.numel()) * sigma
