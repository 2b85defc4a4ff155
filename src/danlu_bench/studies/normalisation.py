r"""TransNormer's two diagnoses of linear attention: gradients without a bound, weights too spread.

Claimed (arXiv:2210.10340 §3): with $p_{ij} = s_{ij} / \sum_k s_{ik}$ the slope
$\partial p_{ij} / \partial s_{ij}$ has no bound as the similarities get small, where that of
softmax is at most 1/4; a norm in place of the divisor is bounded through its $\epsilon$. And
trained linear attention spreads its weights over the whole text, where softmax looks nearby in the
first layers.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.generative.autoregressive.language import LanguageModel, build
from danlu.layers.norms import EPSILON
from danlu.mixers.softmax import split_heads
from danlu_bench.page import curves
from danlu_bench.studies.claims import Claim, Study, publish
from danlu_bench.studies.fitting import Effort
from danlu_bench.studies.texts import brown, fit_text, held_out

SCALES = tuple(10.0**-k for k in range(9))
TOKENS, TRIALS, CLEAR = 32, 64, 0.01
WINDOW, DIM, DEPTH, HEADS, STEPS, NEAR = 128, 64, 2, 4, 500, 8
NAMES = ("softmax", "linear", "norm-attention")


def run(
    report: Callable[[str], None], *, steps: int = STEPS, folder: Path | None = None
) -> dict[str, Any]:
    """The largest slopes of weights by the size of similarities, and how near trained ones look."""
    slopes = {name: {scale: slope(name, scale) for scale in SCALES} for name in NAMES}
    source, near, nats = brown(WINDOW), {}, {}
    for name in NAMES:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = build(source.description, mixer=name, dim=DIM, depth=DEPTH, heads=HEADS,
                          position="sinusoidal")  # fmt: skip
        fit_text(model, source, Effort(steps=steps))
        nats[name] = held_out(model, source, "nats_per_token")
        near[name] = nearness(model, source.validation.x(torch.arange(16)), name)
        report(f"{name}: {nats[name]:.3f} nats, {near[name]} of the weight within {NEAR} tokens")
    claims = _claims(slopes, near, nats)
    rows = [
        (name, *(f"{share:.1%}" for share in near[name]), f"{nats[name]:.3f}") for name in NAMES
    ]
    shown = {
        name: ([*row], [torch.tensor(v).log10().item() for v in row.values()])
        for name, row in slopes.items()
    }
    layers = [f"layer {number + 1}" for number in range(DEPTH)]
    study = Study(
        name="normalisation",
        title="Linear attention: its divisor, and where it looks",
        about=[
            f"Slopes are the largest of {TRIALS} rows of {TOKENS} positive similarities of a size "
            "(softmax: scores of that size), of the weights, or of outputs for values of norm 1. "
            f"Models are of width {DIM} with {DEPTH} layers, trained for {steps} steps on windows "
            f"of {WINDOW} characters of the Brown corpus from one seed, positions at the input. "
            f"The weight is that of the last {NEAR} tokens, the token itself among them, in the "
            "second half of held-out windows; of norm attention the share of absolute weight.",
        ],
        claims=claims,
        tables={f"Weight within {NEAR} tokens": [("layer", *layers, "nats"), *rows]},
        pictures={
            "slopes": curves(shown, "size of similarities", "largest slope, power of 10", log=True)
        },
        figures={"slopes": slopes, "near": near, "nats": nats},
    )
    return publish(study, report, folder)


def _claims(
    slopes: dict[str, dict[float, float]], near: dict[str, list[float]], nats: dict[str, float]
) -> list[Claim]:
    """What slopes, weights and losses say."""
    return [
        Claim(
            text="the slope of softmax is at most 1/4",
            found=f"{max(slopes['softmax'].values()):.3f}",
            holds=max(slopes["softmax"].values()) <= 0.25,
        ),
        Claim(
            text="that of linear attention has no bound",
            found=f"{slopes['linear'][1.0]:.2f} for similarities near 1, "
            f"{slopes['linear'][1e-8]:.1e} near 1e-8",
            holds=slopes["linear"][1e-8] > 1e6 * slopes["linear"][1.0],
        ),
        Claim(
            text="a norm of the sum is bounded",
            found=f"{max(slopes['norm-attention'].values()):.1e} at most, with epsilon {EPSILON:g}",
            holds=max(slopes["norm-attention"].values()) < 2 / EPSILON**0.5,
        ),
        Claim(
            text="trained softmax looks nearby in the first layer, linear attention less",
            found=f"weight within {NEAR} tokens: {near['softmax'][0]:.0%} against "
            f"{near['linear'][0]:.0%}",
            holds=near["softmax"][0] > 1.25 * near["linear"][0],
        ),
        Claim(
            text="the norm makes linear attention a better model",
            found=f"{nats['norm-attention']:.3f} against {nats['linear']:.3f} nats "
            f"(softmax {nats['softmax']:.3f})",
            holds=nats["norm-attention"] < nats["linear"] - CLEAR,
        ),
    ]


def slope(name: str, scale: float) -> float:
    """The largest derivative of a row's outcome by its first similarity."""
    generator = torch.Generator().manual_seed(0)
    draws = torch.rand(TRIALS, TOKENS, generator=generator, dtype=torch.float64)
    values = torch.randn(TOKENS, 1, generator=generator, dtype=torch.float64)
    values = values / values.abs()
    s = (scale * draws).requires_grad_()
    if name == "softmax":
        outcome = s.softmax(1)[:, 0]
    elif name == "linear":
        outcome = s[:, 0] / s.sum(1)
    else:  # a head of one number: the norm of the sum is its sign, but for epsilon
        total = s @ values
        outcome = (total / (total.square() + EPSILON).sqrt())[:, 0]
    (gradient,) = torch.autograd.grad(outcome.sum(), s)
    return gradient[:, 0].abs().max().item()


@torch.no_grad()
def nearness(model: LanguageModel, ids: Tensor, name: str) -> list[float]:
    """For each layer the share of weight on the nearest tokens."""
    first = model.embedding.vector(None, len(ids))[:, None]
    x = torch.cat([first, model.tokens(ids[:, :-1])], dim=1)
    mixers = [layer for layer in model.stack.layers if hasattr(layer, "query")]
    seen: list[Tensor] = []
    handles = [m.register_forward_pre_hook(lambda _, given: seen.append(given[0])) for m in mixers]
    model.stack(x)
    for handle in handles:
        handle.remove()
    return [share_near(layer, given, name) for layer, given in zip(mixers, seen, strict=True)]


def share_near(layer: Any, x: Float[Tensor, "batch length dim"], name: str) -> float:
    """The share of absolute weight on the last tokens, for the second half of the tokens."""
    q, k = (split_heads(to(x), HEADS) for to in (layer.query, layer.key))
    if name == "softmax":
        scores = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).exp()
    else:
        q, k = layer.features.queries(q), layer.features.keys(k)
        scores = (q @ k.transpose(-2, -1)).abs()
    scores = scores.tril()
    weights = scores / scores.sum(-1, keepdim=True)
    near = weights.triu(1 - NEAR)
    return near.sum(-1)[..., x.shape[1] // 2 :].mean().item()
