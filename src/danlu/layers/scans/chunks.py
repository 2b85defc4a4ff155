r"""What all scans share: how a sequence is cut, and how the state goes from chunk to chunk.

`parallel` is one chunk as long as the sequence, `chunked` has chunks of a fixed size and a last
one that is shorter, `recurrent` goes token by token. Decays are logarithms, at most 0: inside a
chunk only differences that are at most 0 are exponentiated, so nothing overflows. A sum of harsh
decays is large, and the difference of two large sums would lose the mild decays between them: sums
are kept in two parts (`Sums`).

Sources: arXiv:2405.21060 §6 (chunks of a recurrence by matrix products).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from danlu.layers import kernels
from danlu.layers.precision import wide


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """How a scan is run.

    Attributes:
        form: parallel, chunked or recurrent.
        valid: False on padding, which stands on the right; None where there is none.
        chunk: size of a chunk; the cost inside grows with it, the number of states falls. Each scan
            has its own default.
    """

    form: str = "chunked"
    valid: Bool[Tensor, "batch length"] | None = None
    chunk: int | None = None


CHUNKED = Run()

GRAIN = 1 / 16
"""Unit of the coarse part of summed logarithms: a million fits 24 bits."""

CHUNKS = 8
"""Chunks that are done at once; the tensors of more of them leave the cache."""

Keys = Float[Tensor, "batch heads length keys"]
SharedKeys = Float[Tensor, "batch #heads length keys"]
"""One head may serve all."""
Values = Float[Tensor, "batch heads length values"]
Memory = Float[Tensor, "batch heads keys values"]

Block = Callable[..., tuple[Tensor, Any]]
"""`block(*parts, state)`: parts `[batch, heads, chunks, size, ...]` of chunks of one size."""
Step = Callable[..., tuple[Tensor, Any]]
"""`step(*parts, state)`: one token."""


def scan(
    block: Block, step: Step, parts: Sequence[Tensor], state: Any, run: Run, chunk: int
) -> tuple[Tensor, Any]:
    """Run a recurrence over queries, keys, values and more, without a token over nothing.

    The third axis of each part is the length, or 1 for what is constant.
    """
    length, form = parts[0].shape[2], run.form
    if not length:
        return parts[2], state
    chunk = chunk if run.chunk is None else run.chunk
    if form == "recurrent" or length == 1:
        tokens = [part.expand(*part.shape[:2], length, *part.shape[3:]).unbind(2) for part in parts]
        outputs: list[Tensor] = []
        for token in zip(*tokens, strict=True):
            y, state = step(*token, state)
            outputs.append(y)
        return torch.stack(outputs, dim=2), state
    sizes = segments(length, form, chunk)
    # The gradient of a split is written once; that of slices is a sum of long tensors of zeros.
    cut = [[part] * len(sizes) if part.shape[2] == 1 else part.split(sizes, 2) for part in parts]
    found: list[Tensor] = []
    for size, *segment in zip(sizes, *cut, strict=True):
        size = size if form == "parallel" else min(size, chunk)
        y, state = block(*(in_chunks(part, size) for part in segment), state)
        found.append(y.flatten(2, 3))
    return found[0] if len(found) == 1 else torch.cat(found, dim=2), state


def by_kernel(v: Tensor, run: Run) -> bool:
    """Whether a kernel does this run: in chunks of its own size, where kernels are in use."""
    plain = run.form == "chunked" and run.chunk is None and v.shape[2] > 1
    return plain and kernels.serve(v)


def segments(length: int, form: str, chunk: int) -> list[int]:
    """How many tokens are done at once: what fits a cache, in whole chunks, then the rest."""
    if form == "parallel":
        return [length]
    whole, rest = length // chunk * chunk, length % chunk
    most = CHUNKS * chunk
    sizes = [*[most] * (whole // most), whole % most, rest]
    return [size for size in sizes if size]


def tamed(log_decay: Tensor, valid: Bool[Tensor, "batch length"] | None) -> Tensor:
    """Decays in a wide type, none on padding; a decay of 0 is the smallest number, not -inf."""
    log_decay = log_decay.to(wide(log_decay))
    log_decay = log_decay.clamp(min=math.log(torch.finfo(log_decay.dtype).tiny))
    return silenced(log_decay, valid)


def silenced(x: Tensor, valid: Bool[Tensor, "batch length"] | None) -> Tensor:
    """Zeros on padding."""
    return x if valid is None else x.masked_fill(~shaped(valid, x), 0)


def shaped(valid: Bool[Tensor, "batch length"], x: Tensor) -> Bool[Tensor, "batch 1 length ..."]:
    """The mask with the axes of x, which is `[batch, heads, length, ...]`."""
    return valid.reshape(len(valid), 1, -1, *[1] * (x.ndim - 3))


def in_chunks(part: Tensor, size: int) -> Tensor:
    """`[batch, heads, chunks, size, ...]`; what is constant is the same in each chunk.

    A slice of the length is copied here once, or every product with it would copy it.
    """
    if part.shape[2] == 1 != size:
        part = part.expand(*part.shape[:2], size, *part.shape[3:])
    return part.unflatten(2, (-1, size)).contiguous()


def added(y: Tensor, a: Tensor, b: Tensor) -> Float[Tensor, "batch heads chunks size values"]:
    """Add the product of a and b to y, in one pass over y where no axis is broadcast."""
    if a.shape[:3] != b.shape[:3]:
        return y + a @ b
    pieces = torch.baddbmm(*(part.flatten(0, 2) for part in (y, a, b)))
    return pieces.unflatten(0, y.shape[:3])


class Sums(NamedTuple):
    """Summed logarithms of decays whose differences are exact to the last digits.

    `coarse` sums multiples of `GRAIN`, which floating point does without an error; `fine` sums what
    is left of each logarithm, which is small and alone has a gradient.
    """

    coarse: Float[Tensor, "*axes"]
    fine: Float[Tensor, "*axes"]

    def to_end(self) -> Float[Tensor, "*axes"]:
        """The logarithm of what is left of each token at the last one, along the last axis."""
        return self.coarse[..., -1:] - self.coarse + self.fine[..., -1:] - self.fine

    def from_start(self) -> Float[Tensor, "*axes"]:
        """The logarithm of what is left of the start at each token."""
        return self.coarse + self.fine


def summed(log_decay: Float[Tensor, "*chunks size"]) -> Sums:
    """The sums of logarithms up to each token."""
    coarse = (log_decay.detach() / GRAIN).round() * GRAIN
    return Sums(coarse.cumsum(-1), (log_decay - coarse).cumsum(-1))


def decays(total: Sums) -> Float[Tensor, "*chunks size size"]:
    """How much of token j is left at token i; 0 for j behind i."""
    coarse, fine = total
    left = coarse[..., :, None] - coarse[..., None, :]
    past = torch.ones(left.shape[-2:], dtype=torch.bool, device=left.device).tril()
    # The part without a gradient carries the mask, which then costs nothing backwards.
    return (left.masked_fill(~past, -torch.inf) + fine[..., :, None] - fine[..., None, :]).exp()


def carried(
    added: Float[Tensor, "batch heads chunks keys values"], kept: Tensor, state: Tensor
) -> tuple[
    Float[Tensor, "batch heads chunks keys values"], Float[Tensor, "batch heads keys values"]
]:
    """The state at the start of each chunk, and the one behind the last.

    Args:
        added: what each chunk adds to the state.
        kept: which part of the state each chunk keeps, broadcast to `added`.
        state: before the first chunk.
    """
    starts: list[Tensor] = []
    kept = kept.expand(*kept.shape[:2], added.shape[2], *kept.shape[3:])
    for more, keep in zip(added.unbind(2), kept.unbind(2), strict=True):
        starts.append(state)
        state = torch.addcmul(more, keep, state)
    return torch.stack(starts, dim=2), state


def begun(state: Tensor | None, k: Tensor, v: Tensor) -> Memory:
    """The state, zeros before the first token; k may be shared by the heads of v."""
    if state is not None:
        return state
    return v.new_zeros(*v.shape[:2], k.shape[-1], v.shape[-1], dtype=wide(v))
