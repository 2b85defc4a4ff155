r"""The gated attention unit: one head, with the gate of a feed-forward layer.

$U = \phi(X W_u)$, $V = \phi(X W_v)$ of width $e$ and $Z = \phi(X W_z)$ of width $s$, $\phi$ the
SiLU; $Q = \gamma_q \odot Z + \beta_q$ and likewise $K$; $O = (U \odot A V) W_o$. The weights $A$
are one of

- `scaled`: $\mathrm{relu}^2(Q K^\top / \sqrt s + b) / n$, without bias
  $\mathrm{relu}^2(Q K^\top) / (n s)$;
- `mean`: $\mathrm{relu}^2(Q K^\top / n + b)$;
- `summed`: $\mathrm{relu}^2((Q K^\top + b) / n)$;
- `softmax`: $\mathrm{softmax}(Q K^\top / \sqrt s + b)$;
- `softmax-plus`: $\mathrm{softmax}(\log_{512} n \cdot Q K^\top / \sqrt s + b)$,

where $n$ is the number of tokens that a token sees, unless it is given, and $b$ the bias of a
position encoding.

Use two of them in place of attention and feed-forward: the parameters are the same with $e = 2d$,
and there is one head, hence little memory.

Sources: arXiv:2202.10447 §3 (`mean`); kexue.fm/archives/8934 (`scaled`); the conventions differ
between published implementations; kexue.fm/archives/9052 and 9019 (softmax, `softmax-plus`).
"""

import math
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import silu
from typing_extensions import override

from danlu.contracts import SequenceContext, State, unknown
from danlu.layers.packing import padded_rows, unpack
from danlu.layers.varlen import CALL, Documents
from danlu.layers.varlen import allowed as within
from danlu.mixers.base import Mixer, by_steps
from danlu.mixers.keys import join_padded, remembered, visible
from danlu.optim.parameters import Rule, without_decay
from danlu.positions.base import PositionEncoding, Positions

Weights = Literal["scaled", "mean", "summed", "softmax", "softmax-plus"]

SPREAD = 0.02
USUAL_LENGTH = 512
"""At which `softmax-plus` is the plain softmax."""


class GAU(Mixer):
    """Gated attention of a sequence to itself.

    Args:
        dim: width of a token.
        hidden: width of values and gate; 2 * dim unless given.
        size: size of queries and keys.
        weights: the formula of the weights.
        divisor: the number n; how many tokens a token sees unless given.
        causal: whether a token sees the past alone.
        position: a position encoding, for one head of `size`.
    """

    forms = ("parallel", "recurrent")
    honours = frozenset({"embed", "rotate", "bias", "score_scale"})
    companion = None
    bounded = False
    unpadded = True
    call = CALL

    def __init__(
        self,
        dim: int,
        *,
        hidden: int | None = None,
        size: int = 128,
        weights: Weights = "scaled",
        divisor: int | None = None,
        causal: bool = True,
        position: PositionEncoding | None = None,
    ) -> None:
        super().__init__(dim, position=position)
        check_weights(weights)
        self.causal, self.divisor = causal, divisor
        self.weights: Weights = weights
        self.gates = GatedParts(dim, 2 * dim if hidden is None else hidden, size, pairs=1)

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        if form == "recurrent" and self.causal:
            return by_steps(self, x, context, state)
        assert context.positions is not None
        assert context.order is not None
        gate, v, (q, k) = self.gates(x)
        q, k = q[:, None], k[:, None]
        if "rotate" in self.position.hooks:
            q, k = self.position.rotate(q, k, context.positions, context.positions)
        seen = remembered({"keys": k[:, 0], "values": v}, context, state)
        if context.cu_seqlens is not None:
            y, seen = self._in_documents(q[:, 0], seen, context)
        else:
            allowed = visible(context.order, seen, causal=self.causal)
            y = self._read(q[:, 0], seen, context.positions, allowed)
        return self.gates.output(gate * y), seen if self.causal else {}

    def _read(
        self,
        q: Float[Tensor, "batch length size"],
        seen: State,
        places: Positions,
        allowed: Bool[Tensor, "#batch 1 #length keys"],
    ) -> Float[Tensor, "batch length hidden"]:
        """The values that each token reads."""
        q, k = q[:, None], seen["keys"][:, None]
        count = allowed.sum(-1, keepdim=True).to(q.dtype)
        if self.divisor is not None:
            count = torch.full_like(count, self.divisor)
        given = gated_weights(self.weights, self.position, q, k, (places, seen["positions"]), count)
        return masked(self.weights, given, allowed)[:, 0] @ seen["values"]

    def _in_documents(
        self, q: Float[Tensor, "1 total size"], seen: State, context: SequenceContext
    ) -> tuple[Float[Tensor, "1 total hidden"], State]:
        """What the tokens read in their own documents, and the state with a row for each."""
        assert context.cu_seqlens is not None
        assert context.lengths is not None
        documents = Documents(context.cu_seqlens, context.lengths, self.call)
        groups = documents.groups(sum(self.gates.sizes[1:]))
        parts = {name: groups.take(part[0]) for name, part in seen.items()}
        rows = []
        for number, own in enumerate(groups.take(q[0])):
            of_group = {name: taken[number] for name, taken in parts.items()}
            # What pads a row stands on its right: nobody's past, and dropped afterwards.
            valid = None if self.causal else groups.valid(number, q.device)
            length = own.shape[1]
            mask = within(length, valid, q.device, causal=self.causal, window=None)
            if mask is None:
                mask = torch.ones(1, 1, 1, length, dtype=torch.bool, device=q.device)
            rows.append(self._read(own, of_group, of_group["positions"], mask))
        y = groups.put(rows)[None]
        if not context.remember:
            return y, {}
        token, valid = padded_rows(context.cu_seqlens)
        return y, {name: unpack(part, token, valid) for name, part in seen.items()}

    @override
    def join(self, states: list[State]) -> State:
        return join_padded(states)


class GatedParts(nn.Module):
    """The linear maps of a gated attention unit with `pairs` of queries and keys."""

    def __init__(self, dim: int, hidden: int, size: int, *, pairs: int) -> None:
        super().__init__()
        self.sizes = [hidden, hidden, size]
        self.inward = nn.Linear(dim, sum(self.sizes), bias=False)
        self.output = nn.Linear(hidden, dim, bias=False)
        # Around 1 as in kexue.fm/archives/8934. Around 0, as in the paper's pseudocode, all weights
        # begin near 0, which only long training makes up for.
        self.gain = nn.Parameter(1 + SPREAD * torch.randn(2 * pairs, size))
        self.shift = nn.Parameter(torch.zeros(2 * pairs, size))

    def parameter_rules(self) -> dict[str, Rule]:
        """What turns one projection into several is no map."""
        return without_decay("gain", "shift")

    def forward(
        self, x: Float[Tensor, "batch length dim"]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Gate, values, and queries and keys of each pair in turn."""
        gate, values, shared = silu(self.inward(x)).split(self.sizes, dim=-1)
        return gate, values, (shared[..., None, :] * self.gain + self.shift).unbind(-2)


def check_weights(weights: str) -> None:
    """Refuse the name of a formula that there is not.

    Raises:
        DanluError: there is no such formula.
    """
    if weights not in get_args(Weights):
        raise unknown("formula of weights", weights, get_args(Weights))


def gated_weights(
    weights: Weights,
    position: PositionEncoding,
    q: Float[Tensor, "batch 1 length size"],
    k: Float[Tensor, "batch 1 keys size"],
    places: tuple[Tensor, Tensor],
    count: Float[Tensor, "#batch 1 #length 1"],
) -> Float[Tensor, "batch 1 length keys"]:
    """Weights of all keys, or the scores of a softmax; `count` is the n of the formula."""
    scores, scale = q @ k.transpose(-2, -1), position.score_scale(q.shape[-1])
    bias = position.bias(q, k, *places).to(q.dtype) if "bias" in position.hooks else 0.0
    count = count.clamp(min=1)
    if weights == "softmax":
        return scores * scale + bias
    if weights == "softmax-plus":
        return scores * scale * (count.log() / math.log(USUAL_LENGTH)) + bias
    if weights == "mean":
        return (scores / count + bias).relu().square()
    if weights == "summed":
        return ((scores + bias) / count).relu().square()
    return (scores * scale + bias).relu().square() / count


def masked(
    weights: Weights,
    given: Float[Tensor, "batch heads length keys"],
    allowed: Bool[Tensor, "#batch #heads #length keys"],
) -> Float[Tensor, "batch heads length keys"]:
    """What `gated_weights` gave, with nothing on the keys that may not be seen."""
    if weights.startswith("softmax"):
        given = given.masked_fill(~allowed, torch.finfo(given.dtype).min).softmax(-1)
    return given.masked_fill(~allowed, 0.0)
