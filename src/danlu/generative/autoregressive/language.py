r"""Language model: the chance of each character or byte of a text, given those before it.

$\log p(x) = \sum_t \log p(x_t \mid x_{<t})$ over a window of text, exact, by any causal mixer of
`MIXERS` in a stack: `--set model.mixer=mamba2`, or a hybrid such as `mamba2+softmax`. It is the
autoregressive family with words for its parts, a prompt, and texts of any length: when more than a
window has been read, the older half is forgotten and the rest read anew, since nothing was trained
beyond; recurrent mixers may be told to go on with `sampler.reach`. Evidence counts
characters: its bits per dimension are bits per character. Each window starts without a past, so
longer windows give lower figures.

Use it for text, and to compare mixers on it; `autoregressive` is the same for images and ids.

Sources: arXiv:1308.0850 §3 (text by characters); arXiv:1808.04444 (transformers on characters);
kexue.fm/archives/9554 (recurrences against attention on text).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from danlu.backbones.named import StackOptions, stack_of
from danlu.backbones.sized import Sizes
from danlu.contracts import DanluError, DataDescription, DataKind, Told
from danlu.contracts.noise import Noise
from danlu.data.text import tokens_of
from danlu.generative.autoregressive.autoregressive import Autoregressive
from danlu.generative.autoregressive.choosing import AutoregressiveOptions
from danlu.generative.recipe import Recipe, Recipes, Regime, plan_of
from danlu.generative.tiny import TINY


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageOptions(AutoregressiveOptions):
    """How a text is drawn.

    Attributes:
        prompt: the text begins with it.
        length: tokens to draw after the prompt; those of a training window unless given.
        reach: what is read at once has at most so many tokens; those of a training window unless
            given.
    """

    prompt: str = ""
    length: int | None = None
    reach: int | None = None

    def __post_init__(self) -> None:
        AutoregressiveOptions.__post_init__(self)  # slots make a new class, which super() misses
        for name in ("length", "reach"):
            value = getattr(self, name)
            if value is not None and value < 2:
                raise DanluError(f"{name} must be at least 2 tokens, got {value}.")


class LanguageModel(Autoregressive):
    """A causal stack over characters or bytes."""

    Options: ClassVar[type] = LanguageOptions
    unit: ClassVar[str] = "nats_per_token"
    kinds: ClassVar[frozenset[DataKind]] = Autoregressive.kinds | {DataKind.TEXT}

    @override
    def draw(
        self,
        noise: Noise,
        n: int,
        condition: Told,
        options: LanguageOptions,
    ) -> Float[Tensor, "n ..."]:
        """Rows of ids, prompt and all, where the data is text; else data of its shape."""
        window = self.description.dims
        if not self.description.is_text:
            if options.prompt or options.length is not None:
                raise DanluError("A prompt and a length are for models of text.")
            return super().draw(noise, n, condition, options)
        prompt = tokens_of(self.description).encode(options.prompt) if options.prompt else ()
        ids = self.draw_ids(
            noise,
            n,
            condition,
            options,
            given=prompt if isinstance(prompt, tuple) else prompt.tolist(),
            length=window if options.length is None else options.length,
            reach=window if options.reach is None else options.reach,
        )
        return ids.to(self.dtype)

    @override
    def sampling_evaluations(self, options: LanguageOptions) -> int:
        return self.description.dims if options.length is None else options.length

    @override
    def held_out_figures(
        self, x: Tensor, *, seed: int = 0
    ) -> Mapping[str, Float[Tensor, " batch"]]:
        with torch.no_grad():
            value = self.log_prob_of_ids(self.ids(x.to(self.device)), None)
        return {self.unit: -value / self.description.dims}


def build(
    description: DataDescription = TINY,
    *,
    mixer: str = "softmax",
    dim: int = 32,
    depth: int = 2,
    heads: int = 2,
    position: str = "auto",
    parts: str = "",
) -> LanguageModel:
    """A stack of any causal mixers; `parts` are norm, feed_forward and options of the mixers."""
    sizes = Sizes(dim=dim, depth=depth, heads=heads, length=description.dims)
    options = StackOptions(mixer=mixer, position=position, parts=parts)
    if description.levels is None:
        raise DanluError("A language model needs text, or other data with levels.")
    return LanguageModel(description, stack_of(sizes, options))


RECIPES: Recipes = {
    Regime.TEXT: Recipe(model={"dim": 128, "depth": 4, "heads": 4}, plan=plan_of(32, 2e-3)),
}
