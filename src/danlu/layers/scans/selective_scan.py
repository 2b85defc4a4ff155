r"""The selective scan: a decay for each channel and state that depends on the token.

$h_t = e^{\Delta_t A} \odot h_{t-1} + \Delta_t x_t B_t^\top$, $y_t = h_t C_t$ with $h_t$ of
channels times states. No product of matrices does this, so on a processor the speed is that of
memory: `in_chunks` keeps the states of one chunk alone, and the gradient computes them again from
the state before the chunk. What is kept for the gradient is smaller by the size of a chunk, and the
time is linear in the length. Padding has $\Delta_t = 0$, which changes no state.

Three forms of the same: `in_chunks` (an operator of its own for compilers, or a kernel in C++
where `danlu.layers.kernels` are in use), `at_once` by doubling
strides (logarithmic depth, all states in memory), and `one_by_one`.

Sources: arXiv:2312.00752 eq. 2, §3.3 (recomputation) and algorithm 2.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from danlu.layers import kernels

CHUNK = 32

Channels = Float[Tensor, "batch length channels"]
Selected = Float[Tensor, "batch length states"]
Memory = Float[Tensor, "batch channels states"]


def in_chunks(
    x: Channels,
    delta: Channels,
    rate: Float[Tensor, "channels states"],
    write: Selected,
    read: Selected,
    start: Memory,
) -> tuple[Channels, Memory]:
    """Outputs and the last state.

    Args:
        x: what enters.
        delta: step of time of each channel, not negative.
        rate: the matrix A, negative.
        write: the vectors B.
        read: the vectors C.
        start: the state before the first token.
    """
    if kernels.serve(x):
        return kernels.selective_scan(x, delta, rate, write, read, start)
    y, starts = torch.ops.danlu.selective_scan(x, delta, rate, write, read, start)
    return y, starts[-1]


def one_by_one(
    x: Channels,
    delta: Channels,
    rate: Float[Tensor, "channels states"],
    write: Selected,
    read: Selected,
    start: Memory,
) -> tuple[Channels, Memory]:
    """The same by plain operations, token after token; see `in_chunks`."""
    h, outputs = start, []
    tokens = zip(*(part.unbind(1) for part in (x, delta, write, read)), strict=True)
    for now, step, b, c in tokens:
        h = (step[..., None] * rate).exp() * h + (step * now)[..., None] * b[:, None]
        outputs.append((h * c[:, None]).sum(-1))
    return (torch.stack(outputs, dim=1) if outputs else torch.zeros_like(x)), h


def at_once(
    x: Channels,
    delta: Channels,
    rate: Float[Tensor, "channels states"],
    write: Selected,
    read: Selected,
    start: Memory,
) -> tuple[Channels, Memory]:
    """The same with a depth logarithmic in the length; see `in_chunks`."""
    new = torch.cat([start[:, None], (delta * x)[..., None] * write[:, :, None]], dim=1)
    decay = pad((delta[..., None] * rate).exp(), (0, 0, 0, 0, 1, 0), value=1.0)
    stride, total = 1, new.shape[1]
    while stride < total:
        # Each token takes over what its partner has gathered so far.
        new = torch.cat(
            [new[:, :stride], new[:, stride:] + decay[:, stride:] * new[:, :-stride]], 1
        )
        decay = torch.cat([decay[:, :stride], decay[:, stride:] * decay[:, :-stride]], 1)
        stride *= 2
    return (new[:, 1:] @ read[..., None])[..., 0], new[:, -1]


def _states(parts: list[Tensor], rate: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """The decays and states of a chunk; its parts have the time first, states come before channels.

    Channels are many and states few: with channels innermost, every operation runs over long rows.
    """
    x, delta, write = parts
    decay = (delta[:, :, None] * rate).exp_()
    h = (delta * x)[:, :, None] * write[..., None]
    before = start
    for new, kept in zip(h.unbind(0), decay.unbind(0), strict=True):
        before = new.addcmul_(kept, before)
    return decay, h


@torch.library.custom_op("danlu::selective_scan", mutates_args=())
def _scan(
    x: Tensor, delta: Tensor, rate: Tensor, write: Tensor, read: Tensor, start: Tensor
) -> tuple[Tensor, Tensor]:
    starts, outputs, rate = [start.mT.contiguous()], [], rate.T.contiguous()
    chunks = zip(*map(_in_time, (x, delta, write, read)), strict=True)
    for *parts, c in chunks:
        if not len(c):
            break
        _, h = _states(parts, rate, starts[-1])
        outputs.append((c[:, :, None] @ h)[:, :, 0])
        starts.append(h[-1].clone())
    y = torch.cat(outputs).transpose(0, 1).contiguous() if outputs else torch.empty_like(x)
    return y, torch.stack(starts).mT.contiguous()


def _in_time(part: Tensor) -> tuple[Tensor, ...]:
    """Chunks with the time first."""
    return part.transpose(0, 1).contiguous().split(CHUNK)


@_scan.register_fake
def _(
    x: Tensor, delta: Tensor, rate: Tensor, write: Tensor, read: Tensor, start: Tensor
) -> tuple[Tensor, Tensor]:
    number = 1 + (x.shape[1] + CHUNK - 1) // CHUNK
    return x.new_empty(x.shape), start.new_empty((number, *start.shape))


BACKWARD = "(Tensor gradient, Tensor last, Tensor[] kept) -> " + f"({', '.join(['Tensor'] * 6)})"
"""Written out, since torch 2.6 reads no sequence of `collections.abc`."""


@torch.library.custom_op("danlu::selective_scan_backward", mutates_args=(), schema=BACKWARD)
def _scan_backward(
    gradient: Tensor, last: Tensor, kept: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    x, delta, rate, write, read, starts = kept
    rate, starts = rate.T.contiguous(), starts.mT.contiguous()
    by_rate, carry, found = torch.zeros_like(rate), last.mT.contiguous(), []
    parts = map(_in_time, (gradient, x, delta, write, read))
    chunks = list(zip(*parts, starts.split(1), strict=False)) if x.shape[1] else []
    for slope, *chunk, c, before in reversed(chunks):
        x_now, step, b = chunk
        decay, h = _states(chunk, rate, before[0])
        by_read = (h @ slope[..., None])[..., 0]
        by_h = slope[:, :, None] * c[..., None]
        by_h[-1].add_(carry)
        rows, shares = by_h.unbind(0), decay.unbind(0)
        for index in range(len(rows) - 1, 0, -1):
            rows[index - 1].addcmul_(shares[index], rows[index])
        carry = shares[0] * rows[0]
        decay[0].mul_(before[0])
        decay[1:].mul_(h[:-1])
        by_exponent = decay.mul_(by_h)
        by_input = (b[:, :, None] @ by_h)[:, :, 0]
        by_write = (by_h @ (step * x_now)[..., None])[..., 0]
        by_delta = (by_exponent * rate).sum(2) + by_input * x_now
        by_rate += by_exponent.mul_(step[:, :, None]).sum((0, 1))
        found.append((by_input * step, by_delta, by_write, by_read))
    if not found:
        none = [torch.zeros_like(part) for part in (x, delta, write, read)]
        return none[0], none[1], by_rate.T.contiguous(), none[2], none[3], carry.mT.contiguous()
    joined = [
        torch.cat(each[::-1]).transpose(0, 1).contiguous() for each in zip(*found, strict=True)
    ]
    ends = by_rate.T.contiguous(), carry.mT.contiguous()
    return joined[0], joined[1], ends[0], joined[2], joined[3], ends[1]


@_scan_backward.register_fake
def _(
    gradient: Tensor, last: Tensor, kept: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    x, delta, rate, write, read, _ = kept
    x_like, delta_like, rate_like, write_like, read_like = (
        part.new_empty(part.shape) for part in (x, delta, rate, write, read)
    )
    return x_like, delta_like, rate_like, write_like, read_like, last.new_empty(last.shape)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:-1], output[1])


def _gradients(ctx: Any, by_y: Tensor, by_starts: Tensor) -> tuple[Tensor, ...]:
    # Of the states handed out, the last alone is used by anyone.
    return _scan_backward(by_y, by_starts[-1], ctx.saved_tensors)


_scan.register_autograd(_gradients, setup_context=_keep)
