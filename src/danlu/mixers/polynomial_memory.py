"""What the HiPPO layers share: the past of each feature as coefficients of orthogonal functions.

Nothing about the memory is learned; a linear map reads all coefficients. Inside a chunk each token
adds its share and the coefficients before the chunk are carried over, so that no loop goes over
single tokens. Time is the number of tokens that were seen, hence padding takes none.

Sources: arXiv:2008.07669.
"""

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import SequenceContext, State
from danlu.layers.alignment import zeroed
from danlu.layers.hippo import held
from danlu.layers.precision import full_precision, widened
from danlu.mixers.base import Mixer

CHUNK = 16

Times = Float[Tensor, "rows tokens"]
Shares = Float[Tensor, "rows tokens tokens states"]
Kept = Float[Tensor, "rows tokens states states"]


class PolynomialMemory(Mixer):
    """Coefficients of the past of each feature, and a linear map of them.

    Args:
        dim: width of a token.
        states: coefficients for each feature.
    """

    forms = ("chunked", "parallel", "recurrent")

    def __init__(self, dim: int, *, states: int = 16) -> None:
        super().__init__(dim)
        self.states = states
        self.output = nn.Linear(dim * states, dim)

    @abstractmethod
    def shares(self, times: Times, start: Float[Tensor, " rows"]) -> tuple[Shares, Kept]:
        """What each token (third axis) adds to the coefficients after each (second axis).

        Also what becomes of the coefficients at `start`. Tokens are held from `times` less one
        to `times`.
        """

    @abstractmethod
    def basis(self, points: Float[Tensor, " points"]) -> Float[Tensor, "points states"]:
        """The functions at points of [0, 1], the last of which is now."""

    def reconstruct(
        self, coefficients: Float[Tensor, "*batch dim states"], points: Float[Tensor, " points"]
    ) -> Float[Tensor, "*batch points dim"]:
        """The remembered past at points of [0, 1], the last of which is now."""
        return self.basis(points) @ coefficients.mT

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        chunk = {"chunked": CHUNK, "parallel": max(x.shape[1], 1), "recurrent": 1}[form]
        c, memory = self.coefficients(x, context, state, chunk)
        return self.output(c.flatten(2).to(x.dtype)), {"memory": memory}

    def coefficients(
        self,
        x: Float[Tensor, "batch length dim"],
        context: SequenceContext | None = None,
        state: State | None = None,
        chunk: int = CHUNK,
    ) -> tuple[Float[Tensor, "batch length dim states"], Float[Tensor, "batch dim states"]]:
        """The coefficients after each token, and after the last; in float32 at least."""
        with full_precision(x):
            return self._coefficients(widened(x), context, state, chunk)

    def _coefficients(
        self, x: Tensor, context: SequenceContext | None, state: State | None, chunk: int
    ) -> tuple[Tensor, Tensor]:
        valid = None if context is None else context.valid
        start, memory = x.new_zeros(1), x.new_zeros(*x.shape[::2], self.states)
        if state is not None:
            start, memory = state["position"].to(x.dtype), state["memory"]
        if valid is None:
            times = start[:, None] + torch.arange(1, x.shape[1] + 1, device=x.device)
        else:
            x, times = zeroed(x, valid), start[:, None] + valid.cumsum(1)
        found = [x.new_zeros(len(x), 0, *memory.shape[1:])]
        for part, now in zip(x.split(chunk, dim=1), times.split(chunk, dim=1), strict=True):
            if not part.shape[1]:
                break
            added, kept = self.shares(now, start)
            new = torch.einsum("bijn,bjd->bidn", added.expand(len(x), -1, -1, -1), part)
            c = new + memory[:, None] @ kept.mT
            found.append(c)
            memory, start = c[:, -1], now[:, -1]
        return torch.cat(found, dim=1), memory


class WindowMemory(PolynomialMemory):
    """Coefficients of a window, which change in the same way at all times.

    Args:
        dim: width of a token.
        system: of a window of length 1.
        window: number of tokens that are remembered.
    """

    matrix: Tensor
    write: Tensor

    def __init__(self, dim: int, system: tuple[Tensor, Tensor], *, window: float) -> None:
        super().__init__(dim, states=len(system[1]))
        matrix, write = (part.to(torch.get_default_dtype()) for part in held(system, window))
        self.register_buffer("matrix", matrix, persistent=False)
        self.register_buffer("write", write, persistent=False)

    @override
    def shares(self, times: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        power = torch.eye(self.states, dtype=self.matrix.dtype, device=self.matrix.device)[None]
        matrix = self.matrix
        while len(power) <= times.shape[1]:
            power = torch.cat([power, power @ matrix])
            matrix = matrix @ matrix
        behind = (times[:, :, None] - times[:, None]).long()
        past = torch.ones_like(behind[0], dtype=torch.bool).tril()[..., None]
        added = (power @ self.write)[behind.clamp(min=0)] * past
        return added, power[(times - start[:, None]).long()]
