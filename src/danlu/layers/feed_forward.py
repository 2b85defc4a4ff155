r"""Networks on single tokens: a plain one and a gated one.

`MLP`: $W_2\, \phi(W_1 x)$. `GatedMLP`: $W_3 (\phi(W_1 x) \odot W_2 x)$, with SiLU the SwiGLU; at
two thirds of the hidden width it has the parameters of the plain one.

Sources: arXiv:1706.03762 eq. 2; arXiv:2002.05202 eq. 5-6.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu, silu

Activation = Callable[[Tensor], Tensor]


class MLP(nn.Module):
    """Two linear maps with an activation between; hidden width 4 * dim unless given."""

    def __init__(
        self, dim: int, *, hidden: int | None = None, activation: Activation = gelu
    ) -> None:
        super().__init__()
        hidden = 4 * dim if hidden is None else hidden
        self.rise = nn.Linear(dim, hidden)
        self.fall = nn.Linear(hidden, dim)
        self.activation = activation

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Each token on its own."""
        return self.fall(self.activation(self.rise(x)))


class GatedMLP(nn.Module):
    """A linear map gated by an activated one; hidden width 8/3 * dim unless given."""

    def __init__(
        self, dim: int, *, hidden: int | None = None, activation: Activation = silu
    ) -> None:
        super().__init__()
        hidden = -(-8 * dim // 3) if hidden is None else hidden
        self.rise = nn.Linear(dim, 2 * hidden, bias=False)
        self.fall = nn.Linear(hidden, dim, bias=False)
        self.activation = activation

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Each token on its own."""
        gate, value = self.rise(x).chunk(2, dim=-1)
        return self.fall(self.activation(gate) * value)
