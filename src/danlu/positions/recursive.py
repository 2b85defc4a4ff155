r"""FLOATER: the encoding of a position follows from the one before by a differential equation.

$p(n) = p(0) + \int_0^n h(p(t), t)\, dt$, with a network $h$ and a trained start, added to the input
at the integer positions up to a largest one. A linear $h$ with a skew matrix gives sinusoids, and
$h = 0$ the same vector everywhere. The time is measured in positions of `length`.

Use it where positions should be learned and yet smooth; the cost is that of the integration.

Sources: arXiv:2003.09229 eq. 5; kexue.fm/archives/8130 (recursive encodings).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import DanluError, SequenceContext
from danlu.layers.feed_forward import MLP
from danlu.layers.precision import full_precision, widened
from danlu.optim.parameters import Rule, without_decay
from danlu.positions.base import PositionEncoding
from danlu.positions.learned import SPREAD
from danlu.solvers.steppers import RungeKutta4


class Recursive(PositionEncoding):
    """Adds the solution at each of `length` positions.

    Args:
        dim: width of a token.
        length: how many positions there are.
        dynamics: from `[1, dim + 1]`, the encoding and the time in [0, 1], to its slope `[1, dim]`;
            a small network unless given.
    """

    hooks = frozenset({"embed"})

    def __init__(self, dim: int, length: int, *, dynamics: nn.Module | None = None) -> None:
        super().__init__()
        self.length = length
        self.start = nn.Parameter(SPREAD * torch.randn(1, dim))
        self.dynamics = nn.Sequential(MLP(dim + 1, hidden=2 * dim), nn.Linear(dim + 1, dim))
        self.dynamics = self.dynamics if dynamics is None else dynamics

    def parameter_rules(self) -> dict[str, Rule]:
        """The first position is a vector."""
        return without_decay("start")

    @override
    def embed(
        self, x: Float[Tensor, "batch length width"], context: SequenceContext
    ) -> Float[Tensor, "batch length dim"]:
        positions = context.positions
        assert positions is not None
        # A graph cannot look at values; there the table itself refuses, less politely.
        if not torch.compiler.is_compiling() and positions.numel():
            farthest = int(positions.max())
            if farthest >= self.length:
                raise DanluError(f"Recursive positions end at {self.length - 1}, got {farthest}.")
        return x + self.table()[positions].to(x.dtype)

    def table(self) -> Float[Tensor, "length dim"]:
        """The encodings of all positions."""
        solver = RungeKutta4()
        # In half precision a small step would change nothing.
        p: Tensor = widened(self.start)
        rows: list[Tensor] = [p]
        with full_precision(p):
            for n in range(self.length - 1):
                p = solver.step(self._slope, p, n / self.length, (n + 1) / self.length)
                rows.append(p)
        return torch.cat(rows)

    def _slope(self, p: Tensor, t: float) -> Tensor:
        x = torch.cat([p, torch.full_like(p[:, :1], t)], dim=-1)
        return self.dynamics(x.to(self.start.dtype)).to(p.dtype)
