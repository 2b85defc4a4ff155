r"""The contract of token mixers: one layer, many tokens at a time or one by one.

`forward(x, context, state) -> (y, state)` and `step(x, state) -> (y, state)`. The state carries
the position of the next token, hence a sequence may be cut anywhere and continued. Members
implement `mix`; this class completes the context, refuses what cannot be done, and turns packed
documents into rows of about the same length, so that a member which obeys `context.valid` packs as
well. A member that is `unpadded` takes packed documents as they are, and so also a padded batch.

Sources: the layers' own; the laws of this contract are in `danlu check mixers`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from danlu.contracts import DanluError, SequenceContext, State, next_position, reorder, unknown
from danlu.layers.alignment import zeroed
from danlu.layers.groups import Groups, grouped
from danlu.layers.packing import nearly_full, restore
from danlu.layers.precision import WideConstants
from danlu.mixers.documents import measured, rows_of, without_padding
from danlu.positions.base import PositionEncoding

FORMS = ("parallel", "chunked", "recurrent", "fft")

Factory = Callable[[int, int, int], "Mixer"]
"""`make(dim, layer, depth)`: the mixer of a layer of a stack."""


class Mixer(WideConstants, ABC):
    """A layer on sequences; see the module docstring.

    Attributes:
        causal: the past alone is seen; then there is a state and `step`.
        strict: nothing of a token to come changes what came before, not even which tokens meet.
        forms: out of `FORMS`; the first is the default.
        honours: which hooks of a position encoding it calls, and "memory" if it reads one.
        length: the only length it takes, or None.
        bounded: the state has a largest size, however long the sequence.
        unpadded: `mix` also takes packed documents in one row (`context.cu_seqlens`, with
            `context.lengths` filled in), in every form but "recurrent".
        companion: the row of `MIXERS` that follows it in a block, "feed-forward" for most; None for
            what has a gate and a wide inner layer of its own.
        call: multiplications of a forward pass that take as long as one more call, by which packed
            documents are grouped.
    """

    causal: bool = True
    strict: bool = True
    forms: tuple[str, ...] = ("parallel",)
    honours: frozenset[str] = frozenset({"embed"})
    refusals: ClassVar[dict[str, str]] = {}
    length: int | None = None
    bounded: bool = True
    unpadded: bool = False
    companion: str | None = "feed-forward"
    call: float = 2.0**21

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
        """The layer on padded rows, or on packed documents where it is `unpadded`.

        `context.order` and `context.positions` are filled in. Padding (`context.valid` False) is
        finite and must change neither the other outputs nor the state; it may stand left or right,
        and stands right where `context.lengths` is filled in. The new state comes without
        "position"; a layer that is not causal returns {}.
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
            documents it has a row for each, and is None unless `context.remember`.

        Raises:
            DanluError: the layer cannot do what is asked.
        """
        context = SequenceContext() if context is None else context
        context = context.parted() if state is None else context
        form = self._chosen(x, context, state, form)
        if context.cu_seqlens is not None:
            return self._packed(x, context, form)
        unpadded = self._without_padding(x, context, state, form)
        if unpadded is not None:
            return unpadded
        x, context = self._cleaned(x, context)
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
                raise DanluError(
                    "Packed documents stand in one row without padding: give cu_seqlens or valid."
                )
        return self.forms[0] if form is None else form

    def _cleaned(self, x: Tensor, context: SequenceContext) -> tuple[Tensor, SequenceContext]:
        """Zeros in the padding, that of the memory as well: a NaN there would pass every mask."""
        if context.valid is not None:
            x = zeroed(x, context.valid)
        if context.memory is not None and "memory" in self.honours:
            keys, of_keys = context.memory
            if of_keys.valid is not None:
                context = replace(context, memory=(zeroed(keys, of_keys.valid), of_keys))
        return x, context

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
        """Packed documents as they are, or in groups of rows."""
        context = measured(x, context)
        assert context.lengths is not None
        # An encoding that looks at neighbours must not look across a boundary.
        apart = not self.unpadded or form == "recurrent" or self.position.sees_future
        if apart or nearly_full(context.lengths):
            return self._in_groups(x, context, form)
        context = context.placed(x)
        if "embed" in self.position.hooks:
            x = self.position.embed(x, context)
        y, state = self.mix(x, context, None, form)
        if not (self.causal and context.remember):
            return y, None
        return y, {**state, "position": torch.tensor(context.lengths, device=x.device)}

    def _in_groups(
        self, x: Tensor, context: SequenceContext, form: str
    ) -> tuple[Tensor, State | None]:
        """Documents as rows, those of about the same length side by side."""
        assert context.lengths is not None
        groups = self._groups(context.lengths)
        parts = [self(*rows, form=form) for rows in rows_of(x, context, groups)]
        y = groups.put([part for part, _ in parts])[None]
        states = [state for _, state in parts if state is not None]
        if not (states and context.remember):
            return y, None
        joined = states[0] if len(states) == 1 else self.join(states)
        return y, reorder(joined, groups.rank)

    def _groups(self, lengths: tuple[int, ...]) -> Groups:
        """Which packed documents are computed side by side."""
        if nearly_full(lengths):
            return Groups(lengths, (tuple(range(len(lengths))),))
        size = sum(weight.numel() for weight in self.parameters())
        return grouped(lengths, float(max(size, self.dim)), 0.0, self.call)

    def _without_padding(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State | None] | None:
        """A padded batch by its tokens alone; None where it is better left as it is."""
        fresh = state is None and context.order is None and context.lengths is None
        if context.valid is None or not (self.unpadded and fresh):
            return None
        if form == "recurrent" or torch.compiler.is_compiling():
            return None
        found = without_padding(x, context)
        if found is None:
            return None
        y, new = self._packed(*found, form)
        return restore(y, context.valid), new


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
