r"""Power-function average of weights: one setting is right for short and for long runs.

After step $t$ the average $\hat\theta_t$ of the weights $\theta_t$ is

$\hat\theta_t = \beta_t \hat\theta_{t-1} + (1 - \beta_t)\,\theta_t, \qquad
\beta_t = (1 - 1/t)^{\gamma + 1},$

so that after $n$ steps the weight of $\theta_t$ is
$(t^{\gamma+1} - (t-1)^{\gamma+1}) / n^{\gamma+1}$: the profile $t^\gamma$ stretches with the
run, starts with $\beta_1 = 0$ (the initial weights are forgotten) and needs no warm-up. With
$\gamma = 6.94$ its width is a tenth of the run.

Source: arXiv:2312.02696 section 3.1 (power function averages).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from danlu.contracts import DanluError


class PowerAverage:
    """The running average of some parameters.

    Attributes:
        parameters: what is averaged.
        values: their averages, in the same order; equal to them before the first step.
        steps: updates so far.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], gamma: float = 6.94) -> None:
        if gamma < 0:
            raise DanluError(f"gamma of a power average must not be negative, got {gamma}.")
        self.parameters = list(parameters)
        self.values = [p.detach().clone() for p in self.parameters]
        self.gamma = gamma
        self.steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take the present weights in."""
        self.steps += 1
        if not self.values:
            return
        share = 1.0 - (1.0 - 1.0 / self.steps) ** (self.gamma + 1.0)
        weights = [p.data for p in self.parameters]
        torch._foreach_lerp_(self.values, weights, share)  # pyright: ignore

    @contextmanager
    def swap(self) -> Iterator[None]:
        """The parameters hold their averages inside the context."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def copy_to_parameters(self) -> None:
        """Overwrite the parameters by their averages."""
        for parameter, value in zip(self.parameters, self.values, strict=True):
            parameter.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """The step count; the values are saved by name with the weights."""
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """What `state_dict` gave."""
        self.steps = state["steps"]

    def _exchange(self) -> None:
        for index, parameter in enumerate(self.parameters):
            parameter.data, self.values[index] = self.values[index], parameter.data
