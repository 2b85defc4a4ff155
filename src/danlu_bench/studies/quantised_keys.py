r"""A trained softmax model run on quantised keys: Transformer-VQ swapped in.

Claimed (arXiv:2309.16354 §5.1; kexue.fm/archives/9844): attention to keys replaced by the nearest
of $S$ codes is softmax attention at linear cost, nearer to it with more codes; the codes of a
trained model can be the k-means of its keys, and a short fine-tune makes up what is left.
"""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, silu
from typing_extensions import override

from danlu.contracts import SequenceContext, State
from danlu.data import Source
from danlu.generative.autoregressive.language import LanguageModel, build
from danlu.layers.attention import attend_causally
from danlu.mixers.transformer_vq import TransformerVQ
from danlu_bench.page import curves
from danlu_bench.studies.claims import Claim, Study, publish
from danlu_bench.studies.fitting import Effort
from danlu_bench.studies.texts import brown, fit_text, held_out

WINDOW, DIM, DEPTH, SIZE, BLOCK = 128, 64, 4, 64, 32
STEPS, TUNED, WINDOWS, STARTED = 500, 80, 128, 64
CODES = (4, 16, 64, 256)
NATS = "nats_per_token"


class ExactKeys(TransformerVQ):
    """The same layer with the keys themselves in place of codes: gated softmax attention."""

    @override
    def mix(
        self, x: Tensor, context: SequenceContext, state: State | None, form: str
    ) -> tuple[Tensor, State]:
        gate, v, q, k = self.inward(x).split(self.sizes, dim=-1)
        q = layer_norm(q, (self.size,)) + self.content
        parts = (part[:, None] for part in (q, layer_norm(k, (self.size,)), silu(v)))
        y = attend_causally(*parts, scale=self.position.score_scale(self.size))
        return self.output(silu(gate) * y[:, 0]), {}


def run(
    report: Callable[[str], None], *, steps: int = STEPS, folder: Path | None = None
) -> dict[str, Any]:
    """Held-out nats of one trained model on more and more codes, before and after fine-tuning."""
    source = brown(WINDOW)
    model = exact(source)
    fit_text(model, source, Effort(steps=steps))
    whole = held_out(model, source, NATS, windows=WINDOWS)
    effort = Effort(steps=min(TUNED, steps), rate=5e-4, seed=1)
    found: dict[str, dict[int, float]] = {"random": {}, "k-means": {}, "fine-tuned": {}}
    for codes in CODES:
        made = quantised(model, source, codes, start=False)
        found["random"][codes] = held_out(made, source, NATS, windows=WINDOWS)
        made = quantised(model, source, codes)
        found["k-means"][codes] = held_out(made, source, NATS, windows=WINDOWS)
        fit_text(made, source, effort)
        found["fine-tuned"][codes] = held_out(made, source, NATS, windows=WINDOWS)
        report(f"{codes} codes: " + ", ".join(f"{k} {row[codes]:.3f}" for k, row in found.items()))
    # The exact model goes on learning as well: what it gains is no merit of the codes.
    fit_text(model, source, effort)
    tuned = held_out(model, source, NATS, windows=WINDOWS)
    return publish(_study(found, whole, tuned, steps), report, folder)


def exact(source: Source) -> LanguageModel:
    """A model of softmax attention that Transformer-VQ can take the weights of."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = f"size={SIZE},block={BLOCK},codes=1"
        model = build(source.description, mixer="transformer-vq", dim=DIM, depth=DEPTH,
                      position="sinusoidal", parts=parts)  # fmt: skip
        return _swapped(model, ExactKeys, codes=1)


def quantised(
    model: LanguageModel, source: Source, codes: int, *, start: bool = True
) -> LanguageModel:
    """The same weights on quantised keys; the codes are random, or the k-means of its keys."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = _swapped(model, TransformerVQ, codes)
        if start:
            # Layer by layer, each on what the model itself gives it.
            inputs = _inputs(model, source)
            for layer, x in zip(_layers(made), inputs, strict=True):
                layer.start(x)
    return made.eval()


def _swapped(model: LanguageModel, kind: type[TransformerVQ], codes: int) -> LanguageModel:
    made = deepcopy(model)
    for index, layer in enumerate(_layers(model)):
        swapped = kind(DIM, size=SIZE, codes=codes, block=BLOCK)
        own = {k: v for k, v in layer.state_dict().items() if not k.startswith("codebook")}
        swapped.load_state_dict({**swapped.state_dict(), **own})
        made.stack.layers[index] = swapped
    return made


def _layers(model: LanguageModel) -> list[TransformerVQ]:
    return [cast(TransformerVQ, layer) for layer in model.stack.layers]


@torch.no_grad()
def _inputs(model: LanguageModel, source: Source) -> list[Tensor]:
    """What each layer of the trained model reads on some windows of training."""
    seen: list[Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        for layer in model.stack.layers
    ]
    model.log_prob_of_ids(model.ids(source.training.x(torch.arange(STARTED))), None)
    for hook in hooks:
        hook.remove()
    return seen


def _study(found: dict[str, dict[int, float]], whole: float, tuned: float, steps: int) -> Study:
    """What the losses say."""
    first, after, last = found["k-means"], found["fine-tuned"], CODES[-1]
    few = CODES[1]
    claims = [
        Claim(text="more codes come nearer to softmax",
              found=", ".join(f"{n}: {first[n] - whole:+.3f}" for n in CODES),
              holds=first[CODES[0]] > first[few] > first[last]),
        Claim(text="k-means of the trained keys is a better start than random codes",
              found=", ".join(f"{n}: {first[n]:.3f} against {found['random'][n]:.3f}"
                              for n in CODES),
              holds=all(first[n] < found["random"][n] for n in CODES)),
        Claim(text="a short fine-tune makes up what is left",
              found=f"{few} codes cost {first[few] - whole:+.3f} before, {after[few] - tuned:+.3f} "
              f"after {TUNED} steps, which the exact model had as well",
              holds=after[few] - tuned < 0.5 * (first[few] - whole)),
        Claim(text="with enough codes nothing is lost", holds=after[last] - tuned < 0.01,
              found=f"{last} codes, fine-tuned: {after[last] - tuned:+.3f} nats"),
    ]  # fmt: skip
    rows = [(str(n), *(f"{row[n]:.4f}" for row in found.values())) for n in CODES]
    numbers = [float(n) for n in CODES]
    shown = {name: (numbers, [*row.values()]) for name, row in found.items()}
    return Study(
        name="quantised-keys",
        title="Quantised keys in a trained model",
        about=[
            f"A character model of the Brown corpus (width {DIM}, {DEPTH} gated layers of one head "
            f"of {SIZE}, which are those of Transformer-VQ with exact keys) is trained with "
            f"softmax attention for {steps} steps on windows of {WINDOW}; then Transformer-VQ "
            f"takes its weights. Nats for each character of {WINDOWS} held-out windows. Exact keys "
            f"have {whole:.4f}, and {tuned:.4f} after as many more steps as the others "
            "are tuned for.",
        ],
        claims=claims,
        tables={"By number": [("codes", "random", "k-means", "fine-tuned"), *rows]},
        pictures={"codes": curves({**shown, "exact": (numbers, [whole] * len(CODES))},
                                  "codes", "nats per character", log=True)},
        figures={"exact": whole, "exact tuned": tuned, **found},
    )  # fmt: skip
