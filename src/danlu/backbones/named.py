r"""Stacks from the names of their parts: mixer, position encoding, norm and feed-forward.

`stack_of` makes a `Transformer` in which every row of `MIXERS` may stand. Several mixers joined by
`+` take turns, layer by layer: `mamba2+mamba2+softmax` is a hybrid. What follows a mixer in its
block is its `companion`, most often a gated feed-forward. With the position `auto`, a mixer that
turns queries and keys gets rotary positions, one that adds to scores T5's; a recurrence needs none,
and a stack that sees both sides gets sinusoids.

Use it where a mixer is a choice of the user; build a `Transformer` by factories for all else.

Sources: arXiv:2002.04745 (norm before the layer); arXiv:2403.19887 (hybrid stacks).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from danlu.backbones.sized import (
    Sizes,
    encoding_of,
    mixer_of,
    options_of,
    reads_memory,
    sees_past_alone,
)
from danlu.backbones.transformer import Transformer
from danlu.contracts import DanluError, unknown
from danlu.layers.norms import LayerNorm, Norm, RMSNorm
from danlu.mixers import MIXERS, Factory, Mixer
from danlu.positions import POSITIONS, PositionEncoding

NORMS: Mapping[str, Norm] = {"rms": RMSNorm, "layer": LayerNorm}
JOINED, AUTO, NONE = "+", "auto", "none"
USUAL = {"rotate": "rope", "bias": "t5"}
"""The encodings of `auto` by the hook that a mixer calls, the better one first."""
FIXED = {"heads", "length", "layer", "depth", "causal", "position"}
"""What a stack decides for its mixers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StackOptions:
    """A stack in words.

    Attributes:
        mixer: names of `MIXERS`, joined by + where they take turns.
        position: a name of `POSITIONS`, or auto.
        parts: `norm=layer,feed_forward=none,window=32`: the norm (rms, layer), what follows a mixer
            (auto, none, or a row of MIXERS), and anything that the mixers themselves can be given.
        causal: whether tokens may see the past alone; mixers of the other kind are refused.
    """

    mixer: str = "softmax"
    position: str = AUTO
    parts: str = ""
    causal: bool = True

    @property
    def names(self) -> list[str]:
        """The mixers that take turns."""
        return [name.strip() for name in self.mixer.split(JOINED)]


def stack_of(sizes: Sizes, options: StackOptions) -> Transformer:
    """The described stack.

    Raises:
        DanluError: a name is not known, or parts do not go together.
    """
    given = _parsed(options.parts)
    norm, after = str(given.pop("norm", "rms")), str(given.pop("feed_forward", AUTO))
    if norm not in NORMS:
        raise unknown("norm", norm, NORMS)
    for name in options.names:
        _require_direction(name, causal=options.causal)
    _require_taken(options.names, given)
    enters = _at_input(sizes, options)
    mixers = []
    for name in options.names:
        position = _of_mixer(name, sizes, options, given) if enters is None else None
        mixers.append(_factory(name, sizes, given, position))
    followers = _followers(after, sizes, options)
    block = [_in_turn(mixers), *([_in_turn(followers)] if followers else [])]
    return Transformer(sizes.dim, sizes.depth, block, norm=NORMS[norm], position=enters)


def fitting(*, causal: bool) -> list[str]:
    """The rows of `MIXERS` that see the past alone, or both sides, and read nothing else."""
    return [name for name in MIXERS if sees_past_alone(name) == causal and not reads_memory(name)]


def _require_direction(name: str, *, causal: bool) -> None:
    options_of(name)
    if reads_memory(name):
        why = "reads another sequence"
    elif sees_past_alone(name) == causal:
        return
    else:
        why = "sees the tokens to come" if causal else "sees the past alone"
    raise DanluError(f"{name} {why}; this model needs one of: {', '.join(fitting(causal=causal))}.")


def _require_taken(names: list[str], given: Mapping[str, Any]) -> None:
    known = {key for name in names for key in options_of(name)} - FIXED
    for key in given:
        if key not in known:
            raise unknown(f"part of {JOINED.join(names)}", key, {*known, "norm", "feed_forward"})


def _factory(
    name: str, sizes: Sizes, given: Mapping[str, Any], position: PositionEncoding | None
) -> Factory:
    def make(dim: int, layer: int, depth: int) -> Mixer:
        return mixer_of(name, sizes, layer=layer, given=given, position=position)

    return make


def _in_turn(makers: list[Factory]) -> Factory:
    return lambda dim, layer, depth: makers[layer % len(makers)](dim, layer, depth)


def _followers(after: str, sizes: Sizes, options: StackOptions) -> list[Factory]:
    """What follows each mixer in its block, or nothing."""
    names = [MIXERS[name].target.companion if after == AUTO else after for name in options.names]
    found = [name for name in names if name not in (None, NONE)]
    if found and len(found) < len(names):
        raise DanluError(
            f"Not every mixer of {options.mixer} is followed by a feed-forward layer: add "
            "feed_forward=none, or feed_forward=feed-forward, to model.parts."
        )
    for name in found:
        options_of(name)
    return [_factory(name, sizes, {}, None) for name in found]


def _at_input(sizes: Sizes, options: StackOptions) -> PositionEncoding | None:
    """The encoding that enters at the input of the stack; None where the mixers have theirs."""
    name = options.position
    if name == AUTO:
        called = set().union(*(MIXERS[each].target.honours for each in options.names))
        if options.causal or called & set(USUAL):
            return None
        name = "sinusoidal"
    made = encoding_of(name, sizes, causal=options.causal)
    return made if not made.hooks or "embed" in made.hooks else None


def _of_mixer(
    name: str, sizes: Sizes, options: StackOptions, given: Mapping[str, Any]
) -> PositionEncoding | None:
    """The encoding that the layers of a row share; None where they need none."""
    takes, wanted = options_of(name), options.position
    if wanted == AUTO:
        honours = MIXERS[name].target.honours
        wanted = next((usual for hook, usual in USUAL.items() if hook in honours), NONE)
    elif "position" not in takes:
        raise DanluError(
            f"{name} has no place for {wanted}: leave model.position at auto, or take one of "
            f"{', '.join(n for n in POSITIONS if 'embed' in POSITIONS[n].target.hooks)}."
        )
    if wanted == NONE or "position" not in takes:
        return None
    size = given.get("size", takes["size"].default) if "size" in takes else None
    return encoding_of(wanted, sizes, head_dim=size, causal=options.causal)


def _parsed(text: str) -> dict[str, Any]:
    """`name=value,name=value`, numbers as such."""
    found: dict[str, Any] = {}
    for item in filter(None, text.split(",")):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            raise DanluError(f"Parts read part=value,part=value, got {text!r}.")
        found[key] = _number(value)
    return found


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
