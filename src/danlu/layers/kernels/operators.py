"""The kernels as operators of torch: shapes for compilers, and gradients."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

CHUNK, SELECTIVE_CHUNK = 64, 32
"""Tokens between two states that are kept, in `chunks.h` and in `selective_scan.cpp`."""

Values = Float[Tensor, "batch heads length values"]
Channels = Float[Tensor, "batch length channels"]
Selected = Float[Tensor, "batch length states"]
Rates = Float[Tensor, "channels states"]
Memory = Float[Tensor, "batch channels states"]


def decayed_sums(
    q: Float[Tensor, "batch #heads length keys"],
    k: Float[Tensor, "batch #heads length keys"],
    v: Values,
    log_decay: Float[Tensor, "#batch #heads #length"] | None,
    start: Float[Tensor, "batch heads keys values"],
) -> tuple[Values, Float[Tensor, "batch heads keys values"]]:
    """The recurrence with one decay for each head; see `danlu.layers.scans.scalar`."""
    kind, shape = start.dtype, v.shape[:3]
    logs = start.new_zeros(1, 1, 1) if log_decay is None else log_decay.to(kind)
    parts = (part.to(kind).expand(*shape, part.shape[-1]) for part in (q, k, v))
    y, states = torch.ops.danlu_kernels.decayed_sums(*parts, logs.expand(shape), start)
    return y.to(v.dtype), states[:, :, -1]


def means(
    q: Float[Tensor, "batch #heads length keys"],
    k: Float[Tensor, "batch #heads length keys"],
    v: Values,
    start: Float[Tensor, "batch heads keys values_and_one"],
) -> tuple[Values, Float[Tensor, "batch heads keys values_and_one"]]:
    """Means with weights that are products; see `danlu.layers.scans.normalised`."""
    parts = (part.to(start.dtype).expand(*v.shape[:3], part.shape[-1]) for part in (q, k, v))
    y, _, states = torch.ops.danlu_kernels.means(*parts, start)
    return y.to(v.dtype), states[:, :, -1]


def selective_scan(
    x: Channels, delta: Channels, rate: Rates, write: Selected, read: Selected, start: Memory
) -> tuple[Channels, Memory]:
    """A decay for each channel and state; see `danlu.layers.scans.selective_scan`."""
    y, starts = torch.ops.danlu_kernels.selective_scan(x, delta, rate, write, read, start)
    return y, starts[-1]


def register() -> None:
    """Tell torch the shapes and the gradients of the kernels, once they are loaded."""
    for name, shapes in SHAPES.items():
        torch.library.register_fake(f"danlu_kernels::{name}", shapes)
    for name, kept in KEPT.items():
        torch.library.register_autograd(
            f"danlu_kernels::{name}", _gradient(name), setup_context=kept
        )


# --- shapes -------------------------------------------------------------------------------------


def _alike(*parts: Tensor) -> tuple[Tensor, ...]:
    return tuple(part.new_empty(part.shape) for part in parts)


def _states(v: Tensor, start: Tensor) -> Tensor:
    chunks = (v.shape[2] + CHUNK - 1) // CHUNK
    return v.new_empty(*start.shape[:2], chunks + 1, *start.shape[2:])


def _shapes_of_sums(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, start: Tensor) -> Any:
    return v.new_empty(v.shape), _states(v, start)


def _shapes_of_means(q: Tensor, k: Tensor, v: Tensor, start: Tensor) -> Any:
    return v.new_empty(v.shape), v.new_empty(v.shape[:3]), _states(v, start)


def _shapes_of_scan(x: Tensor, delta: Tensor, *parts: Tensor) -> Any:
    chunks = (x.shape[1] + SELECTIVE_CHUNK - 1) // SELECTIVE_CHUNK
    return x.new_empty(x.shape), x.new_empty(chunks + 1, *parts[-1].shape)


SHAPES = {
    "decayed_sums": _shapes_of_sums,
    "decayed_sums_backward": lambda y, last, q, k, v, log_decay, _: _alike(
        q, k, v, log_decay, last
    ),
    "means": _shapes_of_means,
    "means_backward": lambda y, last, q, k, v, *_: _alike(q, k, v, last),
    "selective_scan": _shapes_of_scan,
    "selective_scan_backward": lambda y, last, *parts: _alike(*parts[:-1], last),
}


# --- gradients ----------------------------------------------------------------------------------


def _keep_sums(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:-1], output[1])


def _keep_means(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:-1], *output)


KEPT = {"decayed_sums": _keep_sums, "means": _keep_means, "selective_scan": _keep_sums}


def _gradient(name: str) -> Callable[..., Any]:
    """The gradient of a kernel; of the states handed out, the last alone is used by anyone."""
    axis = 0 if name == "selective_scan" else 2  # also the place of what `y` is like

    def gradient(ctx: Any, by_y: Tensor | None, *others: Tensor | None) -> Any:
        kept, by_states = ctx.saved_tensors, others[-1]
        kernel = getattr(torch.ops.danlu_kernels, f"{name}_backward")
        by_y = torch.zeros_like(kept[axis]) if by_y is None else by_y
        # Where nobody asks for a state there are no zeros of the size of all of them.
        last = kept[-1].select(axis, -1)
        last = torch.zeros_like(last) if by_states is None else by_states.select(axis, -1)
        return kernel(by_y, last, *kept)

    return gradient
