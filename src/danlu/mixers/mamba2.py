r"""Mamba-2 (SSD): a state space with one data-dependent decay for each head.

$S_t = e^{\Delta_t A} S_{t-1} + \Delta_t B_t x_t^\top$, $y_t = S_t^\top C_t + D x_t$, with
$\Delta_t = \mathrm{softplus}(\cdot + b) > 0$ and $A < 0$ a number for each head. All at once it is
$y = (L \circ C B^\top) X$ with $L$ a one-semiseparable matrix. $x$, $B$ and $C$ pass a short causal
convolution and SiLU; the output is gated by $\mathrm{SiLU}(z)$ and then normalised.

Use it as the default layer of linear cost: what it computes is products of matrices.

Sources: arXiv:2405.21060 eq. 2, §6 and §7.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu, softplus
from typing_extensions import override

from danlu.contracts import DanluError, SequenceContext, State, reorder
from danlu.layers.norms import RMSNorm
from danlu.layers.scans import Run, scalar_scan
from danlu.layers.shift import ShortConvolution
from danlu.mixers.recurrence import Recurrence, Rows, merge_heads
from danlu.mixers.softmax import share_heads, split_heads


class Mamba2(Recurrence):
    """State space duality.

    Args:
        dim: width of a token.
        state_size: size of B and C.
        head_dim: size of a head of x.
        expand: width of x in units of dim.
        groups: number of B and C, shared by equally many heads.
        width: length of the convolution.
    """

    unpadded = True
    companion = None

    def __init__(
        self,
        dim: int,
        *,
        state_size: int = 64,
        head_dim: int = 64,
        expand: int = 2,
        groups: int = 1,
        width: int = 4,
    ) -> None:
        super().__init__(dim)
        inner = expand * dim
        if inner % head_dim or (inner // head_dim) % groups:
            raise DanluError(f"Heads of {head_dim} in {groups} groups do not divide {inner}.")
        self.heads, self.groups = inner // head_dim, groups
        self.widths = [inner, groups * state_size, groups * state_size]
        self.input = nn.Linear(dim, inner + sum(self.widths) + self.heads, bias=False)
        self.convolution = ShortConvolution(sum(self.widths), width)
        self.step_bias = nn.Parameter(step_bias(self.heads))
        self.log_rate = nn.Parameter(torch.empty(self.heads).uniform_(1, 16).log())
        self.skip = nn.Parameter(torch.ones(self.heads))
        self.norm = RMSNorm(inner, groups=groups)
        self.output = nn.Linear(inner, dim, bias=False)

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        if context.cu_seqlens is None:
            return super().mix(x, context, state, form)
        # Linear maps, gate and norm see all tokens at once, the scan each group of documents.
        assert context.lengths is not None
        gate, mixed, step = self._enter(x)
        groups, outputs, states = self._groups(context.lengths), [], []
        parts = zip(groups.take(mixed[0]), groups.take(step[0]), strict=True)
        for number, (mixed_rows, step_rows) in enumerate(parts):
            valid = groups.valid(number, x.device)
            lengths = None if valid is None else valid.sum(1)
            run = Run(form=form, valid=valid)
            y, new = self._scan(mixed_rows, step_rows, run, lengths, {})
            outputs.append(y)
            states.append(new)
        y = self._leave(groups.put(outputs)[None], gate)
        if not context.remember:
            return y, {}
        joined = states[0] if len(states) == 1 else self.join(states)
        return y, reorder(joined, groups.rank)

    @override
    def recur(self, x: Tensor, rows: Rows, state: State) -> tuple[Tensor, State]:
        gate, mixed, step = self._enter(x)
        y, state = self._scan(mixed, step, rows.run, rows.lengths, state)
        return self._leave(y, gate), state

    def _enter(self, x: Tensor) -> tuple[Tensor, ...]:
        """Gate, what is convolved, and steps of each head."""
        return self.input(x).split([self.widths[0], sum(self.widths), self.heads], -1)

    def _scan(
        self, mixed: Tensor, step: Tensor, run: Run, lengths: Tensor | None, state: State
    ) -> tuple[Float[Tensor, "batch length inner"], State]:
        """What the heads read, and the state."""
        mixed, last = self.convolution(mixed, state.get("last"), lengths)
        value, key, query = silu(mixed).split(self.widths, dim=-1)
        step = softplus(step + self.step_bias)  # [batch, length, heads]
        log_decay = (-self.log_rate.exp() * step).transpose(1, 2)
        v = split_heads(value, self.heads)
        k, q = (self._shared(split_heads(part, self.groups)) for part in (key, query))
        y, memory = scalar_scan(
            q,
            k,
            v * step.transpose(1, 2)[..., None].to(v.dtype),
            log_decay,
            state.get("memory"),
            run=run,
        )
        return merge_heads(y + self.skip[:, None, None] * v), {"memory": memory, "last": last}

    def _leave(self, y: Tensor, gate: Tensor) -> Tensor:
        return self.output(self.norm(y * silu(gate)))

    def _shared(self, part: Tensor) -> Tensor:
        """B or C for each head; a single group is shared as it is."""
        return part if self.groups == 1 else share_heads(part, self.heads)


def step_bias(size: int, low: float = 1e-3, high: float = 0.1, floor: float = 1e-4) -> Tensor:
    r"""$\mathrm{softplus}^{-1}(\Delta)$ for log-uniform steps $\Delta$."""
    ends = torch.tensor([low, high]).log()
    step = torch.empty(size).uniform_(*ends.tolist()).exp().clamp(min=floor)
    return step + (-torch.expm1(-step)).log()
