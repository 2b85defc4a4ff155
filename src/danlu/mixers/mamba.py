r"""Mamba: a state space whose step, input and output are chosen by each token.

$[x, z] = W u$; $x \leftarrow \operatorname{SiLU}(\text{short convolution of } x)$;
$h_t = e^{\Delta_t A} \odot h_{t-1} + \Delta_t x_t B_t^\top$, $y_t = h_t C_t + D \odot x_t$, out
comes $W'(y \odot \operatorname{SiLU}(z))$. $B_t$, $C_t$ and $\Delta_t > 0$ are linear in $x_t$, the
last one through few numbers and a softplus; $A < 0$ is diagonal for each channel. A token can thus
write, keep or wipe the state. The state is $h$ and the last inputs of the convolution.

Use it for text and other sequences where what to remember depends on the content; the cost is
linear in the length. On a processor a decay that is one number for each head is faster.

Sources: arXiv:2312.00752 algorithm 2, §3.4 and §3.6 (starting values).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus
from typing_extensions import override

from danlu.contracts import SequenceContext, State
from danlu.layers.alignment import moved, to_the_end, zeroed
from danlu.layers.scans.selective_scan import at_once, in_chunks, one_by_one
from danlu.layers.shift import ShortConvolution
from danlu.mixers.base import Mixer
from danlu.mixers.mamba2 import step_bias
from danlu.optim.parameters import Rule

SCANS = {"chunked": in_chunks, "parallel": at_once, "recurrent": one_by_one}


class Mamba(Mixer):
    """The selective state space with its convolution and gate.

    Args:
        dim: width of a token.
        states: size of the state of a channel.
        expand: channels for each feature of a token.
        width: tokens that the convolution sees.
        rank: numbers that the step of time is made of; a sixteenth of `dim` unless given.
    """

    forms = ("chunked", "parallel", "recurrent")
    companion = None

    def __init__(
        self,
        dim: int,
        *,
        states: int = 16,
        expand: int = 2,
        width: int = 4,
        rank: int | None = None,
    ) -> None:
        super().__init__(dim)
        channels, rank = expand * dim, math.ceil(dim / 16) if rank is None else rank
        self.sizes = (rank, states, states)
        self.inward = nn.Linear(dim, 2 * channels, bias=False)
        self.convolution = ShortConvolution(channels, width)
        self.select = nn.Linear(channels, sum(self.sizes), bias=False)
        self.delta = nn.Linear(rank, channels)
        self.log_rate = nn.Parameter(torch.arange(1.0, states + 1).log().repeat(channels, 1))
        self.skip = nn.Parameter(torch.ones(channels))
        self.output = nn.Linear(channels, dim, bias=False)
        nn.init.uniform_(self.delta.weight, -(rank**-0.5), rank**-0.5)
        with torch.no_grad():
            self.delta.bias.copy_(step_bias(channels))

    def parameter_rules(self) -> dict[str, Rule]:
        """The dynamics do not fade."""
        return dict.fromkeys(("log_rate", "skip", "delta.bias"), Rule(decay=0.0))

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        x, gate = self.inward(x).chunk(2, dim=-1)
        if state is None:
            recent = x.new_zeros(len(x), self.convolution.weight.shape[1] - 1, x.shape[-1])
            memory = self.log_rate.new_zeros(len(x), *self.log_rate.shape)
        else:
            recent, memory = state["recent"], state["memory"]
        x, recent = self._convolved(x, recent, context.valid)
        y, memory = self._scanned(x, memory, context.valid, form)
        return self.output(y * silu(gate)), {"recent": recent, "memory": memory}

    def _convolved(self, x: Tensor, recent: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        """The convolution over tokens alone, and its last inputs; padding is moved out of it."""
        if valid is None:
            y, recent = self.convolution(x, recent)
            return silu(y), recent
        kept = recent.shape[1]
        valid = torch.cat([valid.new_ones(recent.shape[:2]), valid], dim=1)
        index, back = to_the_end(valid)
        x = moved(zeroed(torch.cat([recent, x], dim=1), valid), index)
        y, recent = self.convolution(x[:, kept:], x[:, :kept])
        # Cells before the window have no output; padding may be sent there, and is not read.
        return moved(silu(y), (back[:, kept:] - kept).clamp(min=0)), recent

    def _scanned(
        self, x: Tensor, memory: Tensor, valid: Tensor | None, form: str
    ) -> tuple[Tensor, Tensor]:
        few, write, read = self.select(x).split(self.sizes, dim=-1)
        delta = softplus(self.delta(few))
        if valid is not None:
            delta = zeroed(delta, valid)
        scan = SCANS["recurrent" if x.shape[1] == 1 else form]
        wide = memory.dtype  # of the parameters: the state does not live in half precision
        rate, parts = -self.log_rate.exp(), [part.to(wide) for part in (x, delta, write, read)]
        y, memory = scan(parts[0], parts[1], rate, parts[2], parts[3], memory)
        return (y + self.skip * parts[0]).to(x.dtype), memory
