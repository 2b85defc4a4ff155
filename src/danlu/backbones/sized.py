"""Rows of `MIXERS` and `POSITIONS` at the sizes of a network, in place of their tiny instances.

What a row says of its class in words (a kernel, a direction) stays; what it says in numbers is of
the tiny instance, and is replaced by sizes that fit, or by the defaults of the class.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from danlu.contracts import DanluError, unknown
from danlu.mixers import MIXERS, Mixer
from danlu.mixers.feature_maps import Exponential, FirstOrder, Identity
from danlu.positions import POSITIONS, PositionEncoding


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """Sizes that the layers of a network share.

    Attributes:
        dim: width of a token.
        depth: number of blocks.
        heads: of the mixers that have heads.
        length: tokens of a sequence in training.
    """

    dim: int
    depth: int
    heads: int
    length: int

    def __post_init__(self) -> None:
        for name in ("dim", "depth", "heads", "length"):
            if getattr(self, name) < 1:
                raise DanluError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.dim % self.heads:
            raise DanluError(f"{self.heads} heads do not divide a width of {self.dim}.")

    @property
    def head_dim(self) -> int:
        """Size of a head."""
        return self.dim // self.heads


def _half(sizes: Sizes, most: int) -> int:
    """Half a sequence at most, so that more than one block is needed."""
    return max(1, min(most, sizes.length // 2))


OWN: Mapping[str, Callable[[Sizes], dict[str, Any]]] = {
    "grouped-query": lambda s: {"key_heads": s.heads // 4 if s.heads % 4 == 0 else 1},
    "sliding-window": lambda s: {"window": max(1, s.length // 4)},
    "flash": lambda s: {"chunk": _half(s, 256)},
    "flash-bidirectional": lambda s: {"chunk": _half(s, 256)},
    "transformer-vq": lambda s: {"block": _half(s, 256)},
    "reformer": lambda s: {"chunk": _half(s, 64)},
    "reformer-bidirectional": lambda s: {"chunk": _half(s, 64)},
    "hippo-legt": lambda s: {"window": float(s.length)},
    "hippo-fourier": lambda s: {"window": float(s.length)},
    "linear-identity": lambda s: {"features": Identity()},
    "linear-first-order": lambda s: {"features": FirstOrder()},
    "linear-exponential": lambda s: {"features": Exponential(s.head_dim, features=s.head_dim)},
}
"""What makes a row differ from the defaults of its class, where a number or a part does."""


def mixer_of(
    name: str,
    sizes: Sizes,
    *,
    layer: int = 0,
    given: Mapping[str, Any] | None = None,
    position: PositionEncoding | None = None,
) -> Mixer:
    """The mixer of a row at these sizes, with some of its options given.

    Raises:
        DanluError: there is no such row, or its options do not fit.
    """
    takes = options_of(name)
    known = {"heads": sizes.heads, "head_dim": sizes.head_dim, "length": sizes.length,
             "layer": layer, "depth": sizes.depth, "position": position}  # fmt: skip
    chosen = {key: value for key, value in known.items() if key in takes}
    chosen |= _words(MIXERS[name].build) | (OWN[name](sizes) if name in OWN else {})
    chosen |= {key: value for key, value in (given or {}).items() if key in takes}
    return MIXERS[name].target(sizes.dim, **chosen)


def encoding_of(
    name: str, sizes: Sizes, *, head_dim: int | None = None, causal: bool = True
) -> PositionEncoding:
    """The position encoding of a row, for tokens in a row.

    Args:
        name: a name in `POSITIONS`.
        sizes: of the network.
        head_dim: size of the one head of a mixer that has no more; None where it has `heads`.
        causal: which way tokens look.

    Raises:
        DanluError: there is no such row, or it is for positions of several axes.
    """
    if name not in POSITIONS:
        raise unknown("position encoding", name, POSITIONS)
    target, build = POSITIONS[name].target, POSITIONS[name].build
    takes = inspect.signature(target).parameters
    size = sizes.head_dim if head_dim is None else head_dim
    known = {
        "dim": sizes.dim if "embed" in target.hooks else size,
        "heads": sizes.heads if head_dim is None else 1,
        "length": sizes.length,
        "causal": causal,
    }
    chosen = {key: value for key, value in known.items() if key in takes} | _words(build, float)
    if name == "rope-partial":
        chosen["rotated"] = size // 4 * 2
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = {
        k for k, each in takes.items() if each.default is each.empty and each.kind not in free
    }
    if "axes" in takes or not needed <= set(chosen):
        raise DanluError(f"{name} is not for tokens in a row: take rope, alibi or t5.")
    return target(**chosen)


def options_of(name: str) -> Mapping[str, inspect.Parameter]:
    """What the mixer of a row can be given.

    Raises:
        DanluError: there is no such row.
    """
    if name not in MIXERS:
        raise unknown("mixer", name, MIXERS)
    found: dict[str, inspect.Parameter] = {}
    for kind in MIXERS[name].target.__mro__:
        takes = inspect.signature(kind).parameters
        found |= {key: each for key, each in takes.items() if key not in found}
        if all(each.kind is not each.VAR_KEYWORD for each in takes.values()):
            break
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {key: each for key, each in found.items() if key != "dim" and each.kind in named}


def sees_past_alone(name: str) -> bool:
    """Whether the mixer of a row is causal."""
    return bool(_words(MIXERS[name].build).get("causal", MIXERS[name].target.causal))


def reads_memory(name: str) -> bool:
    """Whether the mixer of a row reads another sequence."""
    return "memory" in MIXERS[name].target.honours


def _words(build: Any, *more: type) -> dict[str, Any]:
    """The arguments of a row's tiny instance that are no sizes."""
    given = getattr(build, "keywords", {})
    return {key: value for key, value in given.items() if isinstance(value, (bool, str, *more))}
