r"""Transformers by factories: residual mixers in blocks, whatever the mixers are.

Each block applies its mixers in turn, $x \leftarrow x + f(\operatorname{norm}(x))$, and a last norm
ends the stack. A factory `make(dim, layer, depth)` makes the mixer of a layer, so that a hybrid
stack is a factory that looks at `layer`. The stack is itself a mixer: it streams by `step`, goes on
from a state, takes packed documents, and refuses what a layer of it refuses.

Use `transformer_block` for the usual attention and feed-forward, and `EncoderDecoder` for a
sequence that follows another one.

Sources: arXiv:1706.03762; arXiv:2002.04745 (norm before the layer).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from danlu.contracts import DanluError, SequenceContext, State
from danlu.layers.norms import Norm, RMSNorm
from danlu.mixers.base import Factory, Mixer, by_steps
from danlu.mixers.cross import CrossAttention
from danlu.mixers.pointwise import Pointwise
from danlu.mixers.softmax import Softmax
from danlu.positions.base import PositionEncoding


class Transformer(Mixer):
    """A stack of `depth` blocks of mixers.

    Args:
        dim: width of a token.
        depth: number of blocks.
        block: factories of the mixers of a block, in order.
        norm: makes a norm of a width.
        position: an encoding that enters at the input; others are given to the mixers.
    """

    forms = ("parallel", "recurrent")
    unpadded = True

    def __init__(
        self,
        dim: int,
        depth: int,
        block: Sequence[Factory],
        *,
        norm: Norm = RMSNorm,
        position: PositionEncoding | None = None,
    ) -> None:
        super().__init__(dim, position=position)
        made = [make(dim, layer, depth) for layer in range(depth) for make in block]
        self.layers = nn.ModuleList(made)
        self.norms = nn.ModuleList(norm(dim) for _ in made)
        self.final = norm(dim)
        self.causal = all(layer.causal for layer in made)
        self.strict = all(layer.strict for layer in made)
        self.bounded = all(layer.bounded for layer in made)
        lengths = {layer.length for layer in made if layer.length is not None}
        if len(lengths) > 1:
            raise DanluError(f"The layers of a stack take different lengths: {sorted(lengths)}.")
        self.length = next(iter(lengths), None)
        if any("memory" in layer.honours for layer in made):
            self.honours = self.honours | {"memory"}

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        if form == "recurrent" and self.causal:
            return by_steps(self, x, context, state)
        states: list[State | None] = []
        for index, (norm, layer) in enumerate(zip(self.norms, self.layers, strict=True)):
            before = None if state is None else state["layers"][index]
            x, after = self.branch(x, layer, norm, context, before)
            states.append(after)
        return self.final(x), {"layers": states} if self.causal else {}

    def branch(
        self,
        x: Tensor,
        layer: nn.Module,
        norm: nn.Module,
        context: SequenceContext,
        state: State | None,
    ) -> tuple[Tensor, State | None]:
        """A layer on the stream."""
        y, after = layer(norm(x), context, state)
        return x + y, after

    @override
    def join(self, states: list[State]) -> State:
        layers = [cast(Mixer, layer) for layer in self.layers]
        joined = [
            layer.join([state["layers"][index] for state in states])
            for index, layer in enumerate(layers)
        ]
        rest = super().join([{"position": state["position"]} for state in states])
        return {**rest, "layers": joined}


class PostNormTransformer(Transformer):
    r"""The first form, $x \leftarrow \operatorname{norm}(x + f(x))$, with no norm at the end.

    Its gradients grow towards the last layers, so that training needs a warm-up; BERT and RoFormer
    have it.
    """

    def __init__(self, dim: int, depth: int, block: Sequence[Factory], **options: Any) -> None:
        super().__init__(dim, depth, block, **options)
        self.final = nn.Identity()

    @override
    def branch(
        self,
        x: Tensor,
        layer: nn.Module,
        norm: nn.Module,
        context: SequenceContext,
        state: State | None,
    ) -> tuple[Tensor, State | None]:
        y, after = layer(x, context, state)
        return norm(x + y), after


class EncoderDecoder(nn.Module):
    """A decoder that reads what an encoder made of another sequence.

    Args:
        encoder: any stack, usually one that sees both sides.
        decoder: a stack with cross-attention.
    """

    def __init__(self, encoder: Transformer, decoder: Transformer) -> None:
        super().__init__()
        if "memory" not in decoder.honours:
            raise DanluError("The decoder has no layer that reads the encoder's output.")
        self.encoder, self.decoder = encoder, decoder

    def forward(
        self,
        source: Float[Tensor, "batch keys dim"],
        target: Float[Tensor, "batch length dim"],
        source_context: SequenceContext | None = None,
        target_context: SequenceContext | None = None,
    ) -> tuple[Float[Tensor, "batch length dim"], State | None]:
        """The decoded target and the state, with which `decoder.step` goes on by itself."""
        source_context = SequenceContext() if source_context is None else source_context
        target_context = SequenceContext() if target_context is None else target_context
        memory, _ = self.encoder(source, source_context)
        return self.decoder(target, attached(target_context, memory, source_context))


def attached(
    context: SequenceContext, memory: Float[Tensor, "batch keys dim"], of_memory: SequenceContext
) -> SequenceContext:
    """The context with a memory, whose layers add to the same penalties."""
    return replace(context, memory=(memory, of_memory))


def softmax_layer(
    heads: int, *, causal: bool = True, position: PositionEncoding | None = None
) -> Factory:
    """A factory of softmax attention; the encoding is shared by the layers."""
    return lambda dim, layer, depth: Softmax(dim, heads=heads, causal=causal, position=position)


def cross_layer(heads: int) -> Factory:
    """A factory of attention to the memory."""
    return lambda dim, layer, depth: CrossAttention(dim, heads=heads)


def feed_forward_layer() -> Factory:
    """A factory of gated feed-forward layers."""
    return lambda dim, layer, depth: Pointwise(dim)


def hybrid(first: Factory, second: Factory, *, every: int) -> Factory:
    """A factory that takes the second for each `every`-th layer, and the first for the others."""
    return lambda dim, layer, depth: (second if (layer + 1) % every == 0 else first)(
        dim, layer, depth
    )


def transformer_block(
    heads: int, *, causal: bool = True, position: PositionEncoding | None = None
) -> list[Factory]:
    """The usual block: softmax attention, then feed-forward."""
    return [softmax_layer(heads, causal=causal, position=position), feed_forward_layer()]
