r"""The contract of token mixers: one layer, many tokens at a time or one by one.

`forward(x, context, state) -> (y, state)` and `step(x, state) -> (y, state)`. The state carries
the position of the next token, hence a sequence may be cut anywhere and continued. Members
implement `mix`; this class completes the context, refuses what cannot be done, and unpacks packed
documents into padded rows, so that a member which obeys `context.valid` packs as well.

Sources: the layers' own; the laws of this contract are in `danlu check mixers`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from danlu.contracts import DanluError, SequenceContext, State, next_position, unknown
from danlu.layers.packing import check_boundaries, pack, padded_rows, unpack
from danlu.positions.base import PositionEncoding

FORMS = ("parallel", "chunked", "recurrent", "fft")

SKEWED = 4
"""Padded rows this many times larger than the tokens in them are done one by one."""

Factory = Callable[[int, int, int], "Mixer"]
"""`make(dim, layer, depth)`: the mixer of a layer of a stack."""


class Mixer(nn.Module, ABC):
    """A layer on sequences; see the module docstring.

    Attributes:
        causal: the past alone is seen; then there is a state and `step`.
        forms: out of `FORMS`; the first is the default.
        honours: which hooks of a position encoding it calls, and "memory" if it reads one.
        length: the only length it takes, or None.
        bounded: the state has a largest size, however long the sequence.
    """

    causal: bool = True
    forms: tuple[str, ...] = ("parallel",)
    honours: frozenset[str] = frozenset({"embed"})
    refusals: ClassVar[dict[str, str]] = {}
    length: int | None = None
    bounded: bool = True

    def __init__(self, dim: int, *, position: PositionEncoding | None = None) -> None:
        super().__init__()
        self.dim = dim
        self.position = PositionEncoding() if position is None else position
        for hook in sorted(self.position.hooks - self.honours):
            raise DanluError(
                f"{type(self).__name__} cannot take {type(self.position).__name__}: "
                + self.refusals.get(hook, f"it has no place for its {hook}.")
            )

    # --- what members implement -----------------------------------------------------------------

    @abstractmethod
    def mix(
        self,
        x: Float[Tensor, "batch length dim"],
        context: SequenceContext,
        state: State | None,
        form: str,
    ) -> tuple[Float[Tensor, "batch length dim"], State]:
        """The layer on padded rows.

        `context.order` and `context.positions` are filled in. Padding (`context.valid` False) must
        change neither the other outputs nor the state; it may stand left or right. The new state
        comes without "position"; a layer that is not causal returns {}.
        """

    def join(self, states: list[State]) -> State:
        """The states of single documents as rows of one; for states of one size."""
        return pytree.tree_map(lambda *leaves: torch.cat(leaves), *states)

    def after_step(self, step: int) -> None:
        """What changes after step number `step` of an optimiser: codebooks, random features."""

    # --- use ------------------------------------------------------------------------------------

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        context: SequenceContext | None = None,
        state: State | None = None,
        *,
        form: str | None = None,
    ) -> tuple[Float[Tensor, "batch length dim"], State | None]:
        """Mix a sequence, or go on with one.

        Args:
            x: tokens; with `context.cu_seqlens` packed documents in one row.
            context: positions, padding, packing, memory; by default one plain sequence a row.
            state: what `forward` or `step` gave for the tokens before; None at the start.
            form: one of `forms`; by default the layer chooses.

        Returns:
            The mixed tokens and the state, which is None where the layer is not causal; for packed
            documents it has a row for each.

        Raises:
            DanluError: the layer cannot do what is asked.
        """
        context = SequenceContext() if context is None else context
        form = self._chosen(x, context, state, form)
        if context.cu_seqlens is not None:
            return self._packed(x, context, form)
        start = None if state is None else state["position"]
        following = next_position(x, context, start)
        context = context.placed(x, start)
        if "embed" in self.position.hooks:
            x = self._embedded(x, context)
        y, new = self.mix(x, context, state, form)
        return y, {**new, "position": following} if self.causal else None

    def step(
        self,
        x: Float[Tensor, "batch width"],
        state: State | None,
        context: SequenceContext | None = None,
    ) -> tuple[Float[Tensor, "batch dim"], State]:
        """One more token; `context.positions` is `[batch, 1]` where it is given.

        Raises:
            DanluError: the layer sees the whole sequence and has no step.
        """
        if not self.causal:
            raise DanluError(f"{type(self).__name__} sees the whole sequence and has no step.")
        y, new = self(x[:, None], context, state)
        return y[:, 0], new

    # --- behind it ------------------------------------------------------------------------------

    def _chosen(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str | None
    ) -> str:
        """The form to use, once everything that is impossible is refused."""
        name = type(self).__name__
        if form is not None and form not in self.forms:
            raise unknown(f"form of {name}", form, self.forms)
        if self.length is not None and context.cu_seqlens is None and x.shape[1] != self.length:
            raise DanluError(f"{name} takes {self.length} tokens, got {x.shape[1]}.")
        if state is not None and not self.causal:
            raise DanluError(f"{name} sees the whole sequence and cannot go on from a state.")
        if "memory" in self.honours and context.memory is None and state is None:
            raise DanluError(f"{name} reads context.memory, which is missing.")
        if context.cu_seqlens is not None:
            if state is not None:
                raise DanluError("Packed documents start anew: give no state with cu_seqlens.")
            if context.valid is not None or len(x) != 1:
                raise DanluError("Packed documents stand in one row and have no padding.")
        return self.forms[0] if form is None else form

    def _embedded(self, x: Tensor, context: SequenceContext) -> Tensor:
        """The input with its positions, unless they would tell of the future."""
        if self.causal and self.position.sees_future:
            raise DanluError(
                f"{type(self).__name__} is causal and cannot take "
                f"{type(self.position).__name__}, which sees the tokens to come."
            )
        return self.position.embed(x, context)

    def _packed(
        self, x: Tensor, context: SequenceContext, form: str
    ) -> tuple[Tensor, State | None]:
        """Documents as padded rows, or one by one where padding would be most of the work."""
        assert context.cu_seqlens is not None
        check_boundaries(context.cu_seqlens, x.shape[1])
        if not len(context.cu_seqlens) - 1:
            raise DanluError("cu_seqlens holds no document.")
        token, valid = padded_rows(context.cu_seqlens)
        rows = _unpacked(x, context, token, valid)
        if valid.numel() <= SKEWED * x.shape[1]:
            y, state = self(*rows, form=form)
            return pack(y, valid), state
        parts = [self(*_row(*rows, row), form=form) for row in range(len(valid))]
        y = torch.cat([part for part, _ in parts], dim=1)
        return y, self._joined([new for _, new in parts])

    def _joined(self, states: Iterable[State | None]) -> State | None:
        found = [state for state in states if state is not None]
        return self.join(found) if found else None


def after_step(model: nn.Module, step: int) -> None:
    """Tell all mixers of a model that an optimiser has done step number `step`."""
    for part in model.modules():
        if isinstance(part, Mixer):
            part.after_step(step)


def by_steps(mixer: Mixer, x: Tensor, context: SequenceContext, state: State | None) -> Any:
    """The recurrent form of a mixer that needs no better one: `mix` on a token at a time."""
    outputs: list[Tensor] = []
    for index in range(x.shape[1]):
        now = _columns(context, index)
        y, state = mixer.mix(x[:, index : index + 1], now, state, mixer.forms[0])
        outputs.append(y)
    if state is None:  # no token at all
        return mixer.mix(x, context, state, mixer.forms[0])
    return torch.cat(outputs, dim=1) if outputs else x, state


def _columns(context: SequenceContext, index: int) -> SequenceContext:
    """The context of one token."""
    names = ("positions", "valid", "order")
    cut = {
        name: None if (part := getattr(context, name)) is None else part[:, index : index + 1]
        for name in names
    }
    return replace(context, **cut)


def _unpacked(
    x: Tensor, context: SequenceContext, token: Tensor, valid: Tensor
) -> tuple[Tensor, SequenceContext]:
    """Padded rows of tokens, and their context."""
    positions = None if context.positions is None else unpack(context.positions, token, valid)
    memory = context.memory
    if memory is not None:
        keys, of_keys = memory
        if of_keys.cu_seqlens is None or len(of_keys.cu_seqlens) != len(valid) + 1:
            raise DanluError("The memory of packed documents must be packed, one for each.")
        memory = _unpacked(keys, of_keys, *padded_rows(of_keys.cu_seqlens))
    unpacked = replace(
        context, positions=positions, valid=valid, cu_seqlens=None, memory=memory, order=None
    )
    return unpack(x, token, valid), unpacked


def _row(x: Tensor, context: SequenceContext, row: int) -> tuple[Tensor, SequenceContext]:
    """One document without its padding."""
    assert context.valid is not None
    size = int(context.valid[row].sum())
    positions = None if context.positions is None else context.positions[row : row + 1, :size]
    memory = None if context.memory is None else _row(*context.memory, row)
    alone = replace(context, positions=positions, valid=None, memory=memory)
    return x[row : row + 1, :size], alone
