r"""Reformer: attention within buckets of similar tokens, found by locality-sensitive hashing.

Queries serve as keys, $k_j = q_j / \|q_j\|$. In each round a random rotation $R$ gives each token
the bucket $\arg\max [q R; -q R]$; tokens are sorted by bucket, then by order, and cut into chunks,
and each sees its own and the previous chunk. Rounds are joined as if a token saw the union of what
it saw in them: a pair seen in $c$ rounds gets $-\ln c$, and the rounds are weighted by their
partition functions. A token sees itself only where it sees nothing else.

Within one chunk this is full attention with shared queries and keys, and more rounds come closer
to it. The rotations follow from the seed of the context and that of the layer.

The sort depends on all tokens: a causal token never sees the future, but which part of the past it
sees does depend on it. Hence outputs before a cut need not equal those of the whole sequence; the
state is all tokens so far, and what is added to it is sorted together with them.

Use it for long sequences with few relevant tokens each, where no summary of the rest will do.

Sources: arXiv:2001.04451 §2 and appendix A.
"""

from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import DanluError, SequenceContext, State
from danlu.layers.precision import full_precision, widened
from danlu.layers.seeded import seeded_normal
from danlu.mixers.base import Mixer
from danlu.mixers.keys import join_padded, remembered
from danlu.mixers.softmax import size_of_head, split_heads
from danlu.positions.base import PositionEncoding

ITSELF = -1e5
"""The score of a token with itself: above that of what may not be seen, below any other."""
EPSILON = 1e-6


class Reformer(Mixer):
    """Multi-head attention with shared queries and keys, to tokens of a similar hash.

    Args:
        dim: width of a token.
        heads: number of heads.
        chunk: tokens of a chunk of the sorted sequence.
        buckets: values of the hash, even; about twice the number of chunks is usual.
        rounds: number of hashes.
        causal: whether a token sees the past alone.
        position: a position encoding, for heads of dim / heads.
    """

    strict = False
    honours = frozenset({"embed", "rotate"})
    bounded = False
    refusals: ClassVar[dict[str, str]] = dict.fromkeys(
        ("bias", "values"), "it has no matrix of all scores."
    )

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 8,
        chunk: int = 64,
        buckets: int = 32,
        rounds: int = 4,
        causal: bool = True,
        position: PositionEncoding | None = None,
    ) -> None:
        super().__init__(dim, position=position)
        size_of_head(dim, heads)
        if buckets < 2 or buckets % 2:
            raise DanluError(f"Each direction of a rotation is two buckets, got {buckets}.")
        if chunk < 1 or rounds < 1:
            raise DanluError(f"Hashing needs a chunk and a round, got {chunk} and {rounds}.")
        self.heads, self.chunk, self.causal = heads, chunk, causal
        self.buckets, self.rounds = buckets, rounds
        self.query = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        assert context.positions is not None
        q, v = split_heads(self.query(x), self.heads), split_heads(self.value(x), self.heads)
        if "rotate" in self.position.hooks:
            q, _ = self.position.rotate(q, q, context.positions, context.positions)
        new = {"keys": q.transpose(1, 2), "values": v.transpose(1, 2)}
        seen = remembered(new, context, state)
        q, v = (seen[name].transpose(1, 2) for name in ("keys", "values"))
        y = self.attend(q, v, seen["order"], seen["valid"], context.seed)
        y = y[:, :, y.shape[2] - x.shape[1] :]
        return self.output(y.transpose(1, 2).flatten(2)), seen if self.causal else {}

    @override
    def join(self, states: list[State]) -> State:
        return join_padded(states)

    def hashes(
        self, q: Float[Tensor, "batch heads length dim"], seed: int
    ) -> Int[Tensor, "batch heads rounds length"]:
        """The bucket of each token in each round."""
        shape = (self.heads, self.rounds, q.shape[-1], self.buckets // 2)
        with full_precision(q):  # a rounded product is another bucket
            q = widened(q.detach())
            turned = q[:, :, None] @ seeded_normal(seed, *shape, like=q)
        return torch.cat([turned, -turned], dim=-1).argmax(-1)

    def attend(
        self, q: Tensor, v: Tensor, order: Tensor, valid: Tensor, seed: int
    ) -> Float[Tensor, "batch heads length dim"]:
        """The attention of all tokens to the union of what they see in the rounds."""
        length = q.shape[2]
        missing = max(1, -(-length // self.chunk)) * self.chunk - length
        q, v = (nn.functional.pad(part, (0, 0, 0, missing)) for part in (q, v))
        order, valid = (nn.functional.pad(part, (0, missing)) for part in (order, valid))
        buckets = self.hashes(q, seed).masked_fill(~valid[:, None, None], self.buckets)
        token = buckets.argsort(dim=-1, stable=True)  # [batch, heads, rounds, rank]
        rank = token.argsort(dim=-1)
        size = (widened(q).square().mean(-1, keepdim=True) + EPSILON).rsqrt()
        k = (q * size * q.shape[-1] ** -0.5).to(q.dtype)
        queries, keys, values = (self._sorted(part, token) for part in (q, k, v))
        mask, itself, times = self._seen(token, rank // self.chunk, order, valid)
        scores = widened(queries @ _with_previous(keys).transpose(-2, -1))
        scores = scores - times.to(scores.dtype).log()
        scores = scores.masked_fill(itself, ITSELF)
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min / 2)
        total = scores.logsumexp(-1, keepdim=True)
        y = (scores - total).exp().to(v.dtype) @ _with_previous(values)
        y, total = (part.flatten(3, 4) for part in (y, total))
        y, total = (part.gather(3, _over(rank, part)) for part in (y, total))
        return (total.softmax(2) * y).sum(2)[:, :, :length].to(v.dtype)

    def _sorted(self, part: Tensor, token: Tensor) -> Tensor:
        """Tokens in the order of each round, in chunks."""
        part = part[:, :, None].expand(-1, -1, self.rounds, -1, -1)
        return part.gather(3, _over(token, part)).unflatten(3, (-1, self.chunk))

    def _seen(
        self, token: Tensor, chunk: Tensor, order: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of queries and the keys in their two chunks: may it be seen, is it the same, how often.

        Args:
            token: the token at each rank of each round.
            chunk: the chunk of each token in each round.
            order: what decides the past.
            valid: False on padding.
        """

        def placed(fact: Tensor) -> Tensor:
            """A fact `[..., length]` of tokens, at the ranks of each round."""
            return fact.expand_as(token).gather(-1, token).unflatten(-1, (-1, self.chunk))

        def pairs(fact: Tensor) -> tuple[Tensor, Tensor]:
            found = placed(fact)
            return found[..., None], _with_previous(found[..., None]).squeeze(-1)[..., None, :]

        order_q, order_k = pairs(order[:, None, None])
        _, real = pairs(valid[:, None, None])
        index = torch.arange(token.shape[-1], device=token.device)
        index_q, index_k = pairs(index)
        first = torch.arange(order_q.shape[3], device=token.device) == 0
        absent = torch.arange(2 * self.chunk, device=token.device) < self.chunk
        mask = real & ~(first[:, None, None] & absent)
        mask = mask & (order_k <= order_q) if self.causal else mask.expand_as(index_q - index_k)
        times = torch.zeros_like(index_q - index_k)
        for other in range(self.rounds):
            chunk_q, chunk_k = pairs(chunk[:, :, other : other + 1])
            times = times + ((chunk_q == chunk_k) | (chunk_q == chunk_k + 1))
        return mask, index_q == index_k, times.clamp(min=1)


def _with_previous(part: Tensor) -> Tensor:
    """Each chunk behind the previous one; zeros before the first."""
    before = torch.cat([torch.zeros_like(part[:, :, :, :1]), part[:, :, :, :-1]], dim=3)
    return torch.cat([before, part], dim=4)


def _over(index: Tensor, part: Tensor) -> Tensor:
    return index[..., None].expand(*index.shape, part.shape[-1])
