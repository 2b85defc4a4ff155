"""What `danlu bench mixers` compares: layers of ours and of others, with what was promised.

A case has two ways of doing the same, forward and backward, on the same input and weights of the
same size. Peers that are not installed give a case without a second way.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from danlu.backbones.transformer import Transformer, softmax_layer
from danlu.layers.feed_forward import MLP
from danlu.layers.norms import LayerNorm
from danlu.layers.scans import Run, normalised_scan, scalar_scan
from danlu.mixers.feature_maps import Elu
from danlu.mixers.mamba import Mamba
from danlu.mixers.mamba2 import Mamba2
from danlu.mixers.pointwise import Pointwise
from danlu.mixers.retention import log_decays
from danlu_bench.side_by_side import Way

DIM, HEADS, HEAD = 256, 8, 64
SCAN_LENGTHS = {512: 1.0, 1024: 2.5, 4096: 7.0, 8192: 14.0}
"""Length -> how many times as quick as fused attention a scan must be."""
TRANSFORMERS_LENGTHS = {256: 20.0, 512: 40.0}
MAMBAPY_LENGTHS = {256: 1.5, 512: 1.5, 1024: 1.5}
LOOP_LENGTH, LOOP_GOAL = 1024, 20.0
LAYER_SHAPES = {49: 64, 256: 12, 512: 6}
"""Length -> sequences in a batch, about as many tokens in each."""
LAYER_GOAL = 1.5

Layer = Callable[..., Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Ours against theirs.

    Attributes:
        group: cases that stand in one table.
        what: which layer of ours.
        peer: what it is compared with.
        length: tokens of a sequence.
        goal: how many times as long theirs must take at least.
        ours: our way.
        theirs: the peer's way; None where it is not installed.
        dtype: of the matrix products.
        kernels: whether ours has a form with `danlu.layers.kernels`, to be measured beside it.
    """

    group: str
    what: str
    peer: str
    length: int
    goal: float
    ours: Way
    theirs: Way | None
    dtype: torch.dtype = torch.float32
    kernels: bool = False


def cases() -> Iterator[Case]:
    """All of them, each made when its turn comes."""
    yield from mamba_cases()
    yield from scan_cases()
    yield from loop_cases()
    yield from layer_cases()


def trained(layer: Layer, *inputs: Tensor, low: bool = False) -> Way:
    """Forward and backward of a layer, which leave no gradient behind."""
    weights = list(layer.parameters()) if isinstance(layer, nn.Module) else []
    leaves = [each.requires_grad_() for each in inputs]

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            loss = layer(*leaves).float().square().mean()
        loss.backward()
        for each in (*weights, *leaves):
            each.grad = None

    return step


# --- Mamba --------------------------------------------------------------------------------------


def mamba_cases() -> Iterator[Case]:
    """One layer of width 256 with 16 states a channel."""
    group = "Mamba, forward and backward"
    for peer, make, lengths in (
        ("transformers", transformers_mamba, TRANSFORMERS_LENGTHS),
        ("mambapy", mambapy_mamba, MAMBAPY_LENGTHS),
    ):
        theirs = make()
        for length, goal in lengths.items():
            x = torch.randn(1, length, DIM)
            yield Case(
                group=group, what="Mamba", peer=peer, length=length, goal=goal,
                ours=trained(Alone(Mamba(DIM)), x),
                theirs=None if theirs is None else trained(theirs, x), kernels=True,
            )  # fmt: skip


class Alone(nn.Module):
    """A mixer whose state is left out."""

    def __init__(self, mixer: nn.Module) -> None:
        super().__init__()
        self.mixer = mixer

    def forward(self, x: Tensor) -> Tensor:
        """The output alone."""
        return self.mixer(x)[0]


def transformers_mamba() -> Layer | None:
    """The layer of transformers in the form that it takes on a processor."""
    try:
        from transformers import (  # pyright: ignore[reportMissingImports]
            MambaConfig,
            MambaModel,
        )
    except ImportError:
        return None
    logging.getLogger("transformers").setLevel(logging.ERROR)  # there is no quick path here
    config = MambaConfig(vocab_size=2, hidden_size=DIM, num_hidden_layers=1)
    block: Any = MambaModel(config).layers[0]
    return block.mixer


def mambapy_mamba() -> Layer | None:
    """The layer of mambapy, with its parallel scan."""
    try:
        from mambapy.mamba import (  # pyright: ignore[reportMissingImports]
            MambaBlock,
            MambaConfig,
        )
    except ImportError:
        return None
    return MambaBlock(MambaConfig(d_model=DIM, n_layers=1))


# --- recurrences with one decay a head ----------------------------------------------------------


def scan_cases() -> Iterator[Case]:
    """Queries, keys and values of 8 heads of 64, in chunks against torch's fused attention."""
    group = "Recurrences in chunks, forward and backward"
    for length, goal in SCAN_LENGTHS.items():
        q, k, v = heads(length)
        theirs = trained(_fused, q, k, v)
        for what, layer in (("linear attention", _linear), ("retention", _retention)):
            yield Case(
                group=group, what=what, peer="fused softmax attention", length=length, goal=goal,
                ours=trained(layer, q, k, v), theirs=theirs, kernels=True,
            )  # fmt: skip
        yield Case(
            group=group, what="SSD", peer="fused softmax attention", length=length, goal=goal,
            ours=trained(_ssd, q, k, v, decays(length)), theirs=theirs, kernels=True,
        )  # fmt: skip


def loop_cases() -> Iterator[Case]:
    """The same recurrence token by token: by indices as most write it, by ours, by the layer."""
    group = f"SSD against its loop over {LOOP_LENGTH} tokens, forward and backward"
    parts = (*heads(LOOP_LENGTH), decays(LOOP_LENGTH))
    mixer, x = Mamba2(DIM, state_size=HEAD, head_dim=HEAD), torch.randn(1, LOOP_LENGTH, DIM)
    for what, peer, ours, theirs in (
        ("scan", "loop over indices", trained(_ssd, *parts), trained(_by_index, *parts)),
        ("scan", "recurrent form", trained(_ssd, *parts), trained(_by_tokens, *parts)),
        ("layer", "its `step`", trained(Alone(mixer), x), trained(Stepping(mixer), x)),
    ):
        yield Case(
            group=group, what=what, peer=peer, length=LOOP_LENGTH, goal=LOOP_GOAL,
            ours=ours, theirs=theirs, kernels=True,
        )  # fmt: skip


def heads(length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values."""
    q, k, v = (torch.randn(1, HEADS, length, HEAD) for _ in range(3))
    return q, k / HEAD**0.5, v


def decays(length: int) -> Tensor:
    """Logarithms of the decay of each token and head."""
    return torch.rand(1, HEADS, length) / -8


def _fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return scaled_dot_product_attention(q, k, v, is_causal=True)


def _linear(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    features = Elu()
    q, k = features.queries(q), features.keys(k)
    return normalised_scan(q, k, v)[0]


def _retention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return scalar_scan(q, k, v, log_decays(HEADS, "powers")[None, :, None])[0]


def _ssd(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor) -> Tensor:
    return scalar_scan(q, k, v, log_decay)[0]


def _by_tokens(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor) -> Tensor:
    return scalar_scan(q, k, v, log_decay, run=Run(form="recurrent"))[0]


def _by_index(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor) -> Tensor:
    state, outputs = torch.zeros(*q.shape[:2], HEAD, HEAD), []
    for t in range(q.shape[2]):
        kept = log_decay[:, :, t].exp()[..., None, None] * state
        state = kept + k[:, :, t, :, None] * v[:, :, t, None, :]
        outputs.append((q[:, :, t, None, :] @ state)[:, :, 0])
    return torch.stack(outputs, dim=2)


class Stepping(nn.Module):
    """A mixer token by token."""

    def __init__(self, mixer: Mamba2) -> None:
        super().__init__()
        self.mixer = mixer

    def forward(self, x: Tensor) -> Tensor:
        """All outputs, one `step` after the other."""
        state, outputs = None, []
        for token in x.unbind(1):
            y, state = self.mixer.step(token, state)
            outputs.append(y)
        return torch.stack(outputs, dim=1)


# --- a layer of a transformer -------------------------------------------------------------------


def layer_cases() -> Iterator[Case]:
    """Attention of 4 heads of 64, then four times the width with GELU; norms before each."""
    group = "Transformer layer in bfloat16, forward and backward"
    for length, batch in LAYER_SHAPES.items():
        x = torch.randn(batch, length, DIM)
        for peer, theirs in (("x-transformers", x_transformers_layer()), ("torch", torch_layer())):
            yield Case(
                group=group, what="transformer", peer=peer, length=length, goal=LAYER_GOAL,
                ours=trained(Alone(our_layer()), x, low=True),
                theirs=None if theirs is None else trained(theirs, x, low=True),
                dtype=torch.bfloat16,
            )  # fmt: skip


def our_layer() -> Transformer:
    """A stack of one block, with a last norm."""
    block = [
        softmax_layer(DIM // HEAD, causal=False),
        lambda dim, layer, depth: Pointwise(dim, MLP(dim)),
    ]
    return Transformer(DIM, 1, block, norm=LayerNorm)


def torch_layer() -> nn.Module:
    """Torch's own."""
    return nn.TransformerEncoderLayer(
        DIM, DIM // HEAD, 4 * DIM, 0.0, "gelu", batch_first=True, norm_first=True
    )


def x_transformers_layer() -> Any:
    """Theirs, as it comes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it scripts functions on import
            from x_transformers import Encoder  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    return Encoder(dim=DIM, depth=1, heads=DIM // HEAD, attn_dim_head=HEAD)
