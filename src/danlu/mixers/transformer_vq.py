r"""Transformer-VQ: softmax attention to quantised keys, exactly, in linear time.

Keys are replaced by their nearest code, $\hat k_j = C_{z_j}$, gradients passing straight through.
Tokens of one code beyond the last block get the same score, so their values may be added up:

$o_i = \frac{\sum_c e^{q_i^\top C_c} U_c + \sum_{j} e^{q_i^\top \hat k_j + b_{ij}} v_j}
{\sum_c e^{q_i^\top C_c} Z_c + \sum_{j} e^{q_i^\top \hat k_j + b_{ij}}}$

where $j$ runs over the present and the previous block of $L$ tokens up to $i$, and $U_c$, $Z_c$ are
the sum of the values and the number of the tokens of code $c$ before them. Means $U_c / Z_c$ are
kept, and $\log Z_c$ joins the score. The bias $b$ of a position encoding acts within the two
blocks, the trained bias $u$ on queries everywhere. Keys and queries are normalised, values and gate
go through SiLU, and the output is gated. By definition the codes beyond the last block are
constants: keys get gradients through the two blocks alone.

The parallel form is that definition with all scores. The commitment
$\overline{\|k - \hat k\|^2}$ is the penalty `commitment` in training; the codebook follows the keys
in `after_step`, and `start` sets it to the k-means of the keys of a trained layer.

Use it where softmax attention is wanted over sequences whose cache would not fit.

Sources: arXiv:2309.16354 eq. 9-22; kexue.fm/archives/9844 (start from trained keys).
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import embedding, layer_norm, one_hot, silu
from typing_extensions import override

from danlu.contracts import DanluError, SequenceContext, State
from danlu.estimators.straight_through import straight_through
from danlu.layers.codebook import Codebook
from danlu.layers.precision import wide, widened
from danlu.mixers.base import Mixer, by_steps
from danlu.mixers.chunks import Chunks, chunks_of
from danlu.positions.base import PositionEncoding


class TransformerVQ(Mixer):
    """One gated head of attention to quantised keys.

    Args:
        dim: width of a token.
        hidden: width of values and gate; 2 * dim unless given.
        size: size of queries and keys.
        codes: number of codes.
        block: tokens of a block.
        cache_gradient: whether values beyond the last block get gradients.
        position: a position encoding, for one head of `size`.
    """

    forms = ("chunked", "parallel", "recurrent")
    honours = frozenset({"embed", "bias", "score_scale"})
    companion = None
    refusals: ClassVar[dict[str, str]] = {
        "rotate": "it forgets where the keys of a code stood, so they cannot be turned."
    }

    def __init__(
        self,
        dim: int,
        *,
        hidden: int | None = None,
        size: int = 128,
        codes: int = 512,
        block: int = 256,
        cache_gradient: bool = True,
        position: PositionEncoding | None = None,
    ) -> None:
        super().__init__(dim, position=position)
        if block < 1:
            raise DanluError(f"A block must hold a token, got {block}.")
        hidden = 2 * dim if hidden is None else hidden
        self.size, self.block, self.cache_gradient = size, block, cache_gradient
        self.sizes = [hidden, hidden, size, size]
        self.inward = nn.Linear(dim, sum(self.sizes), bias=False)
        self.output = nn.Linear(hidden, dim, bias=False)
        self.content = nn.Parameter(torch.zeros(size))
        self.codebook = Codebook(codes, size)

    # --- the codebook ---------------------------------------------------------------------------

    @override
    def after_step(self, step: int) -> None:
        self.codebook.update()
        self.codebook.revive(step)

    @torch.no_grad()
    def start(
        self, x: Float[Tensor, "batch length dim"], context: SequenceContext | None = None
    ) -> None:
        """Set the codes to the k-means of the keys of some input of this layer."""
        context = (SequenceContext() if context is None else context).placed(x)
        x = self.position.embed(x, context) if "embed" in self.position.hooks else x
        keys = self._keys(self.inward(x).split(self.sizes, dim=-1)[3])
        self.codebook.start(keys if context.valid is None else keys[context.valid])

    def _keys(self, k: Tensor) -> Tensor:
        return layer_norm(k, (self.size,))

    def _quantised(self, k: Tensor, context: SequenceContext) -> Tensor:
        """The codes' ids; in training the codebook takes note, and the commitment is a penalty."""
        ids = self.codebook.nearest(k)
        if not (self.training and torch.is_grad_enabled()):
            return ids
        valid = context.valid
        mine, chosen = (k, ids) if valid is None else (k[valid], ids[valid])
        self.codebook.stash(mine, chosen)
        distance = (mine - self.codebook.lookup(chosen).detach()).square().sum(-1)
        context.penalties.append(("commitment", distance.sum() / max(1, distance.numel())))
        return ids

    # --- the layer ------------------------------------------------------------------------------

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        if form == "recurrent":
            return by_steps(self, x, context, state)
        assert context.positions is not None
        gate, v, q, k = self.inward(x).split(self.sizes, dim=-1)
        k = self._keys(k)
        ids = self._quantised(k, context)
        k = straight_through(embedding(ids, self.codebook.vectors.to(k.dtype)), k)
        state = self._empty(x, context.positions) if state is None else state
        new = {"keys": k, "values": silu(v), "codes": ids, "positions": context.positions}
        chunks = chunks_of(x, context.valid, self.block, state["count"])
        # Blocks: the previous one, then those from the unfinished one on.
        seen: State = {}
        for name, part in new.items():
            # A state may be wider than what autocast makes of the new tokens.
            previous, unfinished = state[name].to(part.dtype).split(self.block, dim=1)
            seen[name] = torch.cat([previous[:, None], chunks.place(part, unfinished)], dim=1)
        q = chunks.place(layer_norm(q, (self.size,)) + self.content)
        sums, counts = self._sums(seen, chunks, state)
        read = self._blockwise if form == "chunked" else self._densely
        y = chunks.read(read(q, seen, (sums, counts), chunks, state))
        return self.output(silu(gate) * y), self._following(seen, (sums, counts), chunks, state)

    def _empty(self, x: Tensor, positions: Tensor) -> State:
        """The state before the first token."""
        batch, cells = len(x), 2 * self.block
        codes, hidden = len(self.codebook.vectors), self.sizes[0]
        integers = torch.zeros(batch, cells, dtype=torch.long, device=x.device)
        return {
            "keys": x.new_zeros(batch, cells, self.size),
            "values": x.new_zeros(batch, cells, hidden),
            "codes": integers,
            "positions": positions.new_zeros(batch, cells, *positions.shape[2:]),
            "means": x.new_zeros(batch, codes, hidden, dtype=wide(x)),
            "counts": x.new_zeros(batch, codes, dtype=wide(x)),
            "count": integers[:, 0],
        }

    def _present(self, chunks: Chunks, state: State) -> Tensor:
        """Whether a cell holds a token, with the previous block in front."""
        previous = (state["count"] >= self.block)[:, None, None].expand(-1, 1, self.block)
        return torch.cat([previous, chunks.present], dim=1)

    def _sums(self, seen: State, chunks: Chunks, state: State) -> tuple[Tensor, Tensor]:
        """Sums of values and numbers of tokens of each code before every block, and after."""
        values = seen["values"] if self.cache_gradient else seen["values"].detach()
        here = one_hot(seen["codes"], len(self.codebook.vectors)).to(values.dtype)
        here = here * self._present(chunks, state)[..., None]
        # Half precision cannot count beyond a few hundred.
        counts, sums = here.sum(2, dtype=wide(here)), widened(here.transpose(-2, -1) @ values)
        first = state["counts"][:, None]
        counts = torch.cat([first, first + counts.cumsum(1)], dim=1)
        first = state["means"][:, None] * first[..., None]
        return torch.cat([first, first + sums.cumsum(1)], dim=1), counts

    def _following(
        self, seen: State, before: tuple[Tensor, Tensor], chunks: Chunks, state: State
    ) -> State:
        """The last two blocks, and the means of those before them."""
        done, rows = chunks.finished, torch.arange(len(chunks.total), device=chunks.total.device)
        following: State = {}
        for name, part in seen.items():
            two = [chunks.chunk(part, done + age) for age in (0, 1)]
            following[name] = torch.cat(two, dim=1)
        sums, counts = (part[rows, done] for part in before)
        earlier = state["count"] // self.block * self.block
        means = sums / counts.clamp(min=1)[..., None]
        return {**following, "means": means, "counts": counts, "count": earlier + chunks.total}

    def _code_scores(self, q: Tensor, counts: Tensor) -> Tensor:
        """Scores of all tokens of a code together."""
        codes = self.codebook.vectors.to(q.dtype)
        scores = widened(q @ codes.T) * self.position.score_scale(self.size)
        return (scores + counts.clamp(min=1).log()).masked_fill(counts == 0, _floor(scores))

    def _near_scores(self, q: Tensor, k: Tensor, q_places: Tensor, k_places: Tensor) -> Tensor:
        """Scores of single keys with the bias of their positions, `[rows, queries, keys]`."""
        scores = widened(q @ k.transpose(-2, -1)) * self.position.score_scale(self.size)
        if "bias" not in self.position.hooks:
            return scores
        return scores + self.position.bias(q[:, None], k[:, None], q_places, k_places)[:, 0]

    def _blockwise(
        self, q: Tensor, seen: State, before: tuple[Tensor, Tensor], chunks: Chunks, state: State
    ) -> Tensor:
        """Two blocks of keys and the sums before them, for every block of queries."""
        two = {name: torch.cat([part[:, :-1], part[:, 1:]], dim=2) for name, part in seen.items()}
        k, places = two["keys"].flatten(0, 1), two["positions"].flatten(0, 1)
        near = self._near_scores(q.flatten(0, 1), k, places[:, self.block :], places)
        present = self._present(chunks, state)
        allowed = torch.cat([present[:, :-1], present[:, 1:]], dim=2)[:, :, None]
        past = torch.ones(self.block, 2 * self.block, dtype=torch.bool, device=q.device)
        allowed = allowed & past.tril(self.block)
        near = near.unflatten(0, q.shape[:2]).masked_fill(~allowed, _floor(near))
        # Block g, with the previous one in front, sees the sums before block g - 1.
        sums, counts = (part[:, :-2] for part in before)
        far = self._code_scores(q, counts[:, :, None])
        given = torch.cat([near, far], dim=-1).softmax(-1).to(two["values"].dtype)
        means = (sums / counts.clamp(min=1)[..., None]).to(given.dtype)
        return given[..., : 2 * self.block] @ two["values"] + given[..., 2 * self.block :] @ means

    def _densely(
        self, q: Tensor, seen: State, before: tuple[Tensor, Tensor], chunks: Chunks, state: State
    ) -> Tensor:
        """All scores of all tokens; what the state has added up stays so."""
        flat = {name: part.flatten(1, 2) for name, part in seen.items()}
        cell = torch.arange(flat["codes"].shape[1], device=q.device)
        behind = cell[self.block :, None] // self.block - cell // self.block
        q, places = q.flatten(1, 2), flat["positions"]
        near = self._near_scores(q, flat["keys"], places[:, self.block :], places)
        constant = embedding(flat["codes"], self.codebook.vectors.to(q.dtype))
        far = widened(q @ constant.transpose(-2, -1)) * self.position.score_scale(self.size)
        allowed = self._present(chunks, state).flatten(1)[:, None]
        allowed = allowed & (cell <= cell[self.block :, None])
        scores = torch.where(behind <= 1, near, far).masked_fill(~allowed, _floor(far))
        codes = self._code_scores(q, before[1][:, :1])
        given = torch.cat([scores, codes], dim=-1).softmax(-1).to(flat["values"].dtype)
        given, of_codes = given.split([len(cell), codes.shape[-1]], dim=-1)
        values = flat["values"]
        distant = values if self.cache_gradient else values.detach()
        y = torch.where(behind <= 1, given, 0.0) @ values
        y = y + of_codes @ state["means"].to(values.dtype)
        y = y + torch.where(behind > 1, given, 0.0) @ distant
        return y.unflatten(1, (chunks.number, self.block))


def _floor(scores: Tensor) -> float:
    # Finite: a cell without a token, whose output nobody reads, has no NaN backwards.
    return torch.finfo(scores.dtype).min
