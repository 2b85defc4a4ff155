r"""A codebook that follows the vectors it quantises by moving averages.

A vector $z$ is replaced by its nearest code, $k(z) = \arg\min_j \|z - e_j\|^2$, with the gradient
passed straight through. After a play, with $f_j$ the share of the vectors in cell $j$ and $s_j$
their sum over all their number,

$N_j \leftarrow \gamma N_j + (1 - \gamma) f_j, \qquad m_j \leftarrow \gamma m_j + (1 - \gamma) s_j,
\qquad e_j = m_j / N_j.$

With $\gamma = 0$ this is one Lloyd step of k-means. A code whose share $N_j$ falls below a fraction
of the even share $1/K$ is dead: the busiest cell is split in two, one half going to the dead code
(the splitting of Linde, Buzo and Gray). Everything follows from sums over vectors, so the sums of
several processes or parts of a batch give what the whole batch gives, revival included.

Sources: arXiv:1711.00937 app. A.1 (moving averages); doi:10.1109/TCOM.1980.1094577 (splitting);
arXiv:1803.03382 (moving averages as soft k-means).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding

from danlu.contracts import DanluError
from danlu.estimators.straight_through import straight_through

DECAY = 0.95
"""Memory of the moving averages, for each play: short enough to follow an encoder at its start."""
DEAD_BELOW = 0.05
"""A code with less than this fraction of the even share is dead."""
SPLIT = 0.01
"""Half the distance of the halves of a split cell, relative to the size of the codes."""
START_ROUNDS = 10
"""Lloyd steps at the start."""


class Codebook(nn.Module):
    """`codes` vectors of `dim` numbers, with their moving statistics.

    `forward` changes no buffer: in training it adds detached sums to a stash, which `update`
    takes in and empties. Between the two, `statistics()` may be summed over processes in place.
    """

    vectors: Float[Tensor, "codes dim"]
    shares: Float[Tensor, " codes"]
    sums: Float[Tensor, "codes dim"]

    def __init__(
        self, codes: int, dim: int, *, decay: float = DECAY, dead_below: float = DEAD_BELOW
    ) -> None:
        super().__init__()
        if codes < 1 or dim < 1:
            raise DanluError(f"A codebook needs codes and numbers in them, got {codes} x {dim}.")
        if not (0 <= decay < 1 and 0 <= dead_below < 1):
            raise DanluError(f"decay and dead_below lie in [0, 1), got {decay} and {dead_below}.")
        self.decay = decay
        self.dead_below = dead_below
        vectors = torch.randn(codes, dim)
        self.register_buffer("vectors", vectors)
        self.register_buffer("shares", torch.full((codes,), 1 / codes))
        self.register_buffer("sums", vectors / codes)
        self._stash: list[Tensor] = []

    def forward(
        self, z: Float[Tensor, "*batch dim"]
    ) -> tuple[Float[Tensor, "*batch dim"], Int[Tensor, "*batch"]]:
        """The nearest codes with straight-through gradients, and their ids."""
        ids = self.nearest(z)
        if self.training and torch.is_grad_enabled():
            self.stash(z, ids)
        return straight_through(self.lookup(ids).to(z.dtype), z), ids

    @torch.no_grad()
    def nearest(self, z: Float[Tensor, "*batch dim"]) -> Int[Tensor, "*batch"]:
        """The id of the nearest code; ties go to the lowest id."""
        # In low precision neighbouring codes would be mistaken for one another.
        with torch.autocast(z.device.type, enabled=False):
            vectors = self.vectors.to(self._wide)
            return (vectors.square().sum(1) - 2 * (z.to(self._wide) @ vectors.T)).argmin(-1)

    @property
    def _wide(self) -> torch.dtype:
        """What sums are counted in: those of half precision end at 65,504, or lose their ones."""
        return torch.promote_types(self.vectors.dtype, torch.float32)

    def lookup(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch dim"]:
        """The codes of ids."""
        return embedding(ids, self.vectors)

    # --- statistics -----------------------------------------------------------------------------

    @torch.no_grad()
    def stash(self, z: Float[Tensor, "*batch dim"], ids: Int[Tensor, "*batch"]) -> None:
        """Add the count and the sum of each cell to what the next `update` takes in."""
        rows = z.reshape(-1, z.shape[-1]).to(self._wide)
        cells = ids.flatten()
        counts = torch.zeros_like(self.shares, dtype=self._wide)
        counts.index_add_(0, cells, torch.ones_like(rows[:, 0]))
        sums = torch.zeros_like(self.sums, dtype=self._wide).index_add_(0, cells, rows)
        if not self._stash:
            self._stash = [counts, sums]
        else:  # a batch may come in parts
            self._stash = [old + new for old, new in zip(self._stash, (counts, sums), strict=True)]

    def statistics(self) -> list[Tensor]:
        """The stashed `[codes]` counts and `[codes, dim]` sums, additive; empty without any."""
        return self._stash

    @torch.no_grad()
    def update(self, *, decay: float | None = None) -> None:
        """Take the stash in and move the codes; `decay` 0 is one Lloyd step.

        A stash without a vector, as of padding alone, tells nothing and changes nothing.
        """
        if not self._stash:
            return
        decay = self.decay if decay is None else decay
        (counts, sums), self._stash = self._stash, []
        total = counts.sum()
        seen = total > 0  # without a synchronisation of the device
        kept = torch.where(seen, decay, 1.0)
        shares = kept * self.shares + (1 - kept) * counts / total.clamp(min=1)
        sums = kept * self.sums + (1 - kept) * sums / total.clamp(min=1)
        tiny = torch.finfo(self.shares.dtype).tiny
        means = sums / shares.clamp(min=tiny)[:, None]
        self.vectors.copy_(torch.where(seen & (shares[:, None] > tiny), means, self.vectors))
        self.shares.copy_(shares)
        self.sums.copy_(sums)

    @torch.no_grad()
    def revive(self, seed: int) -> None:
        """Split the busiest cell for every dead code in turn, in directions given by the seed.

        The halves of a cell tell little apart at first, so leave time for training after it.
        """
        dead = (self.shares < self.dead_below / len(self.shares)).nonzero().flatten().tolist()
        if not dead:
            return
        generator = torch.Generator().manual_seed(seed)
        size = SPLIT * self.vectors.to(self._wide).square().mean().sqrt()
        for code in dead:
            busiest = int(self.shares.argmax())
            direction = torch.randn(self.vectors.shape[1], generator=generator)
            offset = size * direction.to(self.vectors)
            halves = [busiest, code]
            self.shares[halves] = self.shares[halves].mean()
            self.vectors[code] = self.vectors[busiest] + offset
            self.vectors[busiest] -= offset
            self.sums[halves] = self.shares[halves, None] * self.vectors[halves]

    @torch.no_grad()
    def start(self, z: Float[Tensor, "*batch dim"]) -> None:
        """Begin at the k-means of some vectors, with torch's global generator.

        Raises:
            DanluError: there is no vector.
        """
        rows = z.reshape(-1, z.shape[-1]).to(self.vectors)
        if not len(rows):
            raise DanluError("A codebook starts at the k-means of vectors, and there are none.")
        codes = len(self.vectors)
        chosen = torch.randperm(len(rows)).repeat(-(-codes // len(rows)))[:codes]
        self.vectors.copy_(rows[chosen.to(rows.device)])
        self._stash = []
        for _ in range(START_ROUNDS):
            self.stash(rows, self.nearest(rows))
            self.update(decay=0.0)
            self.revive(int(torch.randint(2**62, ())))

    # --- figures --------------------------------------------------------------------------------

    @torch.no_grad()
    def perplexity(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, ""]:
        """The effective number of codes among ids: the exponential of their entropy in nats."""
        share = torch.bincount(ids.flatten(), minlength=len(self.shares)).to(self._wide)
        return torch.special.entr(share / share.sum().clamp(min=1)).sum().exp()

    def used(self) -> Float[Tensor, ""]:
        """How many codes are not dead by their moving share."""
        alive = self.shares >= self.dead_below / len(self.shares)
        return alive.sum().to(self.shares.dtype)
