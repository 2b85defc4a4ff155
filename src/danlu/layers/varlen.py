r"""Attention inside packed documents: $o_i$ reads the tokens of the document of $i$ alone.

On a GPU that has it, torch's kernel for sequences of varying length does it in one call. Elsewhere
documents are computed in groups of about the same length, so that no work, or little, goes into
padding. Causal attention needs no mask for that: what pads a row stands on its right, where no
token looks.

Sources: arXiv:2205.14135 §3.1 (the kernel); arXiv:2107.02027 §3.2 (packing without contamination).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from danlu.layers.attention import attend, attend_causally
from danlu.layers.groups import Groups, grouped
from danlu.layers.packing import nearly_full

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # before torch 2.10
    varlen_attn = None

CALL = 2.0**19
"""Multiplications of a forward pass that take as long as one more call of attention."""
WIDEST_HEAD = 256
"""Largest head of the kernel."""


@dataclass(frozen=True, slots=True)
class Documents:
    """Packed documents.

    Attributes:
        cu_seqlens: their boundaries.
        lengths: of each, on the host.
        call: multiplications of a forward pass that take as long as one more call.
    """

    cu_seqlens: Int[Tensor, " boundaries"]
    lengths: tuple[int, ...]
    call: float = CALL

    def groups(self, width: int) -> Groups:
        """The groups in which attention by heads of this width in all is cheapest."""
        if nearly_full(self.lengths):
            return Groups(self.lengths, (tuple(range(len(self.lengths))),))
        return grouped(self.lengths, 0.0, float(width), self.call)


def attend_documents(
    q: Float[Tensor, "total heads dim"],
    k: Float[Tensor, "total heads dim"],
    v: Float[Tensor, "total heads values"],
    documents: Documents,
    *,
    causal: bool = True,
    window: int | None = None,
    scale: float | None = None,
) -> Float[Tensor, "total heads values"]:
    """Attention of tokens to their own document.

    Args:
        q: queries of all documents, one document after the other; k and v alike.
        k: keys.
        v: values.
        documents: where each of them begins and ends.
        causal: whether a token sees the past alone.
        window: how many tokens it sees at most, itself among them (on each side if not causal).
        scale: of the scores.
    """
    if not len(q):
        return v
    if has_kernel(q, v):
        back = -1 if window is None else window - 1
        return _by_kernel(q, k, v, documents, (back, 0 if causal else back), scale)
    groups = documents.groups(q.shape[1] * q.shape[2])
    rows = []
    for number, parts in enumerate(zip(*(groups.take(each) for each in (q, k, v)), strict=True)):
        own = [part.transpose(1, 2) for part in parts]
        if causal and window is None:
            y = attend_causally(*own, scale=scale)
        else:
            valid = groups.valid(number, q.device)
            seen = allowed(parts[0].shape[1], valid, q.device, causal=causal, window=window)
            y = attend(*own, mask=seen, scale=scale)
        rows.append(y.transpose(1, 2))
    return groups.put(rows)


def _by_kernel(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    documents: Documents,
    window: tuple[int, int],
    scale: float | None,
) -> Tensor:
    """Torch's kernel; how far a token sees to both sides, -1 for all the way."""
    assert varlen_attn is not None
    ends, longest = documents.cu_seqlens.to(torch.int32), max(documents.lengths)
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    found = varlen_attn(q, k, v, ends, ends, longest, longest, scale=scale, window_size=window)
    assert isinstance(found, Tensor)
    return found


def allowed(
    length: int,
    valid: Bool[Tensor, "documents length"] | None,
    device: torch.device,
    *,
    causal: bool,
    window: int | None,
) -> Bool[Tensor, "#documents 1 length length"] | None:
    """Which tokens of its row each token sees; None if all."""
    if not causal and window is None:
        if valid is None:
            return None
        return valid[:, None, None, :].expand(-1, -1, length, -1)
    place = torch.arange(length, device=device)
    behind = place[:, None] - place
    seen = torch.ones_like(behind, dtype=torch.bool) if not causal else behind >= 0
    if window is not None:
        seen = seen & (behind.abs() < window)
    return seen[None, None] if valid is None else seen & valid[:, None, None, :]


def has_kernel(q: Tensor, v: Tensor) -> bool:
    """Whether torch's kernel can take these heads."""
    if varlen_attn is None or not q.is_cuda:
        return False
    modern = torch.cuda.get_device_capability(q.device) >= (8, 0)
    fits = q.shape[2] == v.shape[2] <= WIDEST_HEAD and not q.shape[2] % 8
    return modern and fits and q.dtype in (torch.float16, torch.bfloat16)
