r"""Reversible residual stack: backward rebuilds the activations instead of storing them.

The state is two halves; $y_1 = x_1 + F(x_2)$, $y_2 = x_2 + G(y_1)$ is undone by
$x_2 = y_2 - G(y_1)$, $x_1 = y_1 - F(x_2)$, so only the stack's end is kept, whatever its depth.
It is the additive coupling of NICE used as a residual network. The rebuilt activations differ by
rounding, hence gradients agree with the plain stack's to rounding and not to the bit.

Use it when depth, not width, fills the memory; it adds one forward to a step.

Sources: arXiv:1707.04585 eq. 6-9, arXiv:1410.8516 (the coupling), arXiv:2001.04451.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.random import fork_rng
from torch.utils.checkpoint import get_device_states, set_device_states

from danlu.layers.recompute.buffers import Buffers

Halves = tuple[Tensor, Tensor]


class Reversible(nn.Module):
    """A stack of pairs (F, G), each a map from half a state to half a state."""

    def __init__(self, pairs: Sequence[tuple[nn.Module, nn.Module]]) -> None:
        super().__init__()
        self.first = nn.ModuleList(f for f, _ in pairs)
        self.second = nn.ModuleList(g for _, g in pairs)

    def forward(
        self, x1: Float[Tensor, "*batch dim"], x2: Float[Tensor, "*batch dim"]
    ) -> tuple[Float[Tensor, "*batch dim"], Float[Tensor, "*batch dim"]]:
        """Both halves at the end; their activations are not stored."""
        if not torch.is_grad_enabled():
            return self.plain(x1, x2)
        weights = [p for p in self.parameters() if p.requires_grad]
        return _Stack.apply(self, x1, x2, *weights)

    def plain(
        self, x1: Float[Tensor, "*batch dim"], x2: Float[Tensor, "*batch dim"]
    ) -> tuple[Float[Tensor, "*batch dim"], Float[Tensor, "*batch dim"]]:
        """The same with every activation stored: the reference."""
        for f, g in zip(self.first, self.second, strict=True):
            x1 = x1 + f(x2)
            x2 = x2 + g(x1)
        return x1, x2

    def inverse(
        self, y1: Float[Tensor, "*batch dim"], y2: Float[Tensor, "*batch dim"]
    ) -> tuple[Float[Tensor, "*batch dim"], Float[Tensor, "*batch dim"]]:
        """The halves from which these came, when no map draws random numbers."""
        for f, g in zip(reversed(self.first), reversed(self.second), strict=True):
            y2 = y2 - g(y1)
            y1 = y1 - f(y2)
        return y1, y2


class _Stack(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any, stack: Reversible, x1: Tensor, x2: Tensor, *weights: Tensor
    ) -> Halves:
        context.stack, context.weights, context.states = stack, weights, []
        context.autocast = _autocast_state(x1.device.type)
        for f, g in zip(stack.first, stack.second, strict=True):
            before_f, of_f, of_g = _random_state(x1), Buffers([f]), Buffers([g])
            with of_f.first():
                x1 = x1 + f(x2)
            context.states.append(((before_f, of_f), (_random_state(x1), of_g)))
            with of_g.first():
                x2 = x2 + g(x1)
        context.save_for_backward(x1, x2)
        return x1, x2

    @staticmethod
    @once_differentiable
    def backward(context: Any, d1: Tensor, d2: Tensor) -> tuple[Any, ...]:
        y1, y2 = context.saved_tensors
        sums = [torch.zeros_like(weight) for weight in context.weights]
        pairs = list(zip(context.stack.first, context.stack.second, context.states, strict=True))
        device, options = context.autocast
        with torch.autocast(device, **options):
            for f, g, state in reversed(pairs):
                y1, y2, d1, d2 = _undo(f, g, state, (y1, y2, d1, d2), (context.weights, sums))
        return None, d1, d2, *sums


def _undo(
    f: nn.Module,
    g: nn.Module,
    state: Any,
    ends: tuple[Tensor, Tensor, Tensor, Tensor],
    weights: tuple[Sequence[Tensor], Sequence[Tensor]],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs and their gradients from outputs and theirs."""
    y1, y2, d1, d2 = ends
    before_f, before_g = state
    with fork_rng(devices=_devices(y1)), torch.enable_grad():
        y1 = y1.detach().requires_grad_()
        second = _again(g, y1, before_g)
        d1 = d1 + _pull(second, y1, d2, weights)
        x2 = (y2 - second).detach().requires_grad_()
        first = _again(f, x2, before_f)
        d2 = d2 + _pull(first, x2, d1, weights)
    return (y1 - first).detach(), x2.detach(), d1, d2


def _pull(
    output: Tensor,
    inner: Tensor,
    gradient: Tensor,
    weights: tuple[Sequence[Tensor], Sequence[Tensor]],
) -> Tensor:
    parameters, sums = weights
    found = torch.autograd.grad(
        output, [inner, *parameters], gradient.to(output.dtype), allow_unused=True
    )
    for total, part in zip(sums, found[1:], strict=True):
        if part is not None:
            total += part
    assert found[0] is not None
    return found[0]


def _devices(x: Tensor) -> list[int]:
    return [x.get_device()] if x.device.type != "cpu" else []


def _random_state(x: Tensor) -> Any:
    return torch.get_rng_state(), get_device_states(x) if x.device.type != "cpu" else ([], [])


def _again(part: nn.Module, x: Tensor, before: tuple[Any, Buffers]) -> Tensor:
    """The same random numbers, and buffers as they were."""
    state, buffers = before
    _restore(state)
    with buffers.again():
        return part(x)


def _restore(state: Any) -> None:
    cpu, (devices, states) = state
    torch.set_rng_state(cpu)
    if devices:
        set_device_states(devices, states)


def _autocast_state(device: str) -> tuple[str, dict[str, Any]]:
    enabled = torch.is_autocast_enabled(device)
    return device, {"enabled": enabled, "dtype": torch.get_autocast_dtype(device)}
