"""Laws of linear attention and retention: each layer against its matrix of weights."""

import itertools
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from danlu.contracts import SequenceContext
from danlu.experiments.checks.gaps import gap
from danlu.experiments.checks.law import Case, Law, law_of_cases
from danlu.experiments.checks.mixers import mixer_laws
from danlu.experiments.checks.sequences import gradients, made, tokens
from danlu.layers.attention import weights
from danlu.layers.norms import HeadNorm
from danlu.mixers.diag_attention import DiagAttention
from danlu.mixers.efficient import EfficientAttention
from danlu.mixers.feature_maps import Elu, FirstOrder, Identity
from danlu.mixers.linear import LinearAttention
from danlu.mixers.retention import Retention, angles
from danlu.mixers.softmax import split_heads
from danlu.positions.rotary import Rotary

LENGTH = 11
Reading = Callable[[], LinearAttention | EfficientAttention]


def associative() -> Iterable[Case]:
    """Identity features: the causal layer against (Q K^T masked) V."""
    layer = made(lambda: LinearAttention(8, heads=2, features=Identity()))
    x = tokens(layer, LENGTH)
    q, k, v = (split_heads(to(x), 2) for to in (layer.query, layer.key, layer.value))
    expected = layer.output(((q @ k.transpose(-2, -1)).tril() @ v).transpose(1, 2).flatten(2))
    for form in layer.forms:
        yield form, lambda form=form: gap(layer(x, form=form)[0], expected)


def dense(layer: LinearAttention, x: Tensor, rope: Rotary | None) -> Tensor:
    """The matrix of weights of linear attention with features, the numerator turned."""
    q, k = (split_heads(to(x), layer.heads) for to in (layer.query, layer.key))
    places = torch.arange(x.shape[1]).expand(x.shape[:2])

    def turn(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        return (q, k) if rope is None else rope.rotate(q, k, places, places)

    q, k, sum_q, sum_k = layer.features(q, k, turn)
    weights, sums = q @ k.transpose(-2, -1), sum_q @ sum_k.transpose(-2, -1)
    if layer.causal:
        weights, sums = weights.tril(), sums.tril()
    return weights / sums.sum(-1, keepdim=True)


def quotients() -> Iterable[Case]:
    """Linear attention against its matrix of weights, with a rotation and without."""
    for features in (Elu, FirstOrder):
        for rope in (None, Rotary(4)):
            for causal in (True, False):
                layer = made(
                    lambda f=features, r=rope, c=causal: LinearAttention(
                        8, heads=2, features=f(), position=r, causal=c
                    )
                )
                x = tokens(layer, LENGTH)
                y = dense(layer, x, rope) @ split_heads(layer.value(x), 2)
                expected = layer.output(y.transpose(1, 2).flatten(2))
                how = "causal" if causal else "both sides"
                how += ", plain" if rope is None else ", turned"
                yield (
                    f"{features.__name__}, {how}",
                    lambda a=layer, x=x, e=expected: gap(a(x)[0], e),
                )


def sums_to_one() -> Iterable[Case]:
    """Values of one are read as one; first-order weights stay positive when turned."""
    for name, build in {
        "elu": partial(LinearAttention, 8, heads=2),
        "first order, turned": partial(
            LinearAttention, 8, heads=2, features=FirstOrder(), position=Rotary(4)
        ),
        "efficient": partial(EfficientAttention, 8, heads=2),
    }.items():

        def error(build: Reading = build) -> float:
            layer = made(build)
            x = tokens(layer, LENGTH)
            with torch.no_grad():
                x[..., 0] = 1.0
                layer.value.weight.zero_()[:, 0] = 1.0
                layer.output.weight.copy_(torch.eye(8))
            worst = gap(layer(x)[0], torch.ones_like(x))
            if isinstance(layer, LinearAttention) and layer.position.hooks:
                rope = layer.position
                assert isinstance(rope, Rotary)
                worst += dense(layer, x, rope).clamp(max=0).abs().max().item()
            return worst

        yield name, error


def row_scale() -> float:
    """A factor on the features of each query, which the quotient does not see."""

    class Scaled(Elu):
        def queries(self, q: Tensor) -> Tensor:
            return super().queries(q) * (1 + q.square().sum(-1, keepdim=True))

        def keys(self, k: Tensor) -> Tensor:
            return super().queries(k)

    layers = [made(partial(LinearAttention, 8, heads=2, features=f())) for f in (Elu, Scaled)]
    x = tokens(layers[0], LENGTH)
    return gap(layers[1](x)[0], layers[0](x)[0])


def retention_in_full() -> Iterable[Case]:
    """The layer against its formula, with and without the three rescalings that the norm undoes."""
    for rates in ("powers", "spread"):
        layer = made(lambda rates=rates: Retention(8, heads=2, rates=rates))
        layer.norm.epsilon = 0.0
        x = tokens(layer, LENGTH)
        for rescaled in (False, True):
            expected = _retention(layer, x, rescaled)
            for form in layer.forms:

                def error(
                    layer: Retention = layer,
                    x: Tensor = x,
                    form: str = form,
                    expected: Tensor = expected,
                ) -> float:
                    return gap(layer(x, form=form)[0], expected)

                yield f"{rates}, {form}{', rescaled' if rescaled else ''}", error


def _retention(layer: Retention, x: Tensor, rescaled: bool) -> Tensor:
    q, k, v = (split_heads(to(x), 2) for to in (layer.query, layer.key, layer.value))
    turn = torch.arange(LENGTH, dtype=torch.float64)[:, None] * torch.tensor(angles(4)).double()
    q, k = (
        torch.view_as_complex(part.unflatten(-1, (-1, 2)).contiguous())
        * torch.polar(torch.ones_like(turn), turn)
        for part in (q, k)
    )
    behind = torch.arange(LENGTH)[:, None] - torch.arange(LENGTH)
    fading = layer.log_decay.exp()[:, None, None] ** behind.clamp(min=0) * (behind >= 0)
    scores = (q @ k.mH).real
    if rescaled:
        fading = fading / fading.sum(-1, keepdim=True).sqrt()
        scores = scores / 2 * fading
        scores = scores / scores.sum(-1, keepdim=True).abs().clamp(min=1)
    else:
        scores = scores * fading
    norm = HeadNorm(16, 2, epsilon=0.0).double()
    norm.load_state_dict(layer.norm.state_dict())
    y = norm((scores @ v).transpose(1, 2).flatten(2))
    return layer.output(torch.nn.functional.silu(layer.gate(x)) * y)


def blocks_are_masked() -> Iterable[Case]:
    """Attention in blocks against softmax with their mask; a long block is all of softmax."""
    for causal, block in itertools.product((True, False), (1, 4, LENGTH)):
        build = partial(DiagAttention, 8, heads=2, block=block, causal=causal)
        layer, place = made(build), torch.arange(LENGTH)
        seen = place[:, None] // block == place // block
        seen = (seen.tril() if causal else seen)[None, None]

        def dense(x: Tensor, a: DiagAttention = layer, seen: Tensor = seen) -> Tensor:
            q, k, v = (split_heads(to(x), 2) for to in (a.query, a.key, a.value))
            y = weights(q, k, mask=seen) @ v
            return a.output(y.transpose(1, 2).flatten(2))

        def error(a: DiagAttention = layer, dense: Callable[[Tensor], Tensor] = dense) -> float:
            x = tokens(a, LENGTH)
            return gap(gradients(a, x, lambda x: a(x)[0]), gradients(a, x, dense))

        yield f"blocks of {block}, {'causal' if causal else 'both sides'}", error


def turned() -> LinearAttention:
    """Linear attention with a rotation."""
    return LinearAttention(8, heads=2, position=Rotary(4))


def moved() -> float:
    """Turned features when all positions move."""
    layer = made(turned)
    x, places = tokens(layer, LENGTH), torch.arange(LENGTH).expand(2, LENGTH)
    ends = [layer(x, SequenceContext(positions=places + by))[0] for by in (0, 19)]
    return gap(*ends)


ROWS = [
    ("associative", "(Q K^T) V = Q (K^T V)", 1e-12, associative),
    ("quotients", "linear attention is its matrix of weights", 1e-12, quotients),
    ("sums-to-one", "normalised weights sum to 1 and are not negative", 1e-12, sums_to_one),
    ("blocks", "attention in blocks is softmax with their mask", 1e-11, blocks_are_masked),
    ("retention", "retention is its formula; the norm undoes rescaling", 1e-9, retention_in_full),
]

LAWS = [
    *(
        law_of_cases(f"linear-attention/{name}", statement, tolerance, cases)
        for name, statement, tolerance, cases in ROWS
    ),
    Law(
        "linear-attention/row-scale",
        "a factor on the features of a query changes nothing",
        1e-12,
        row_scale,
    ),
    Law("linear-attention/moved", "a rotation sees differences of positions", 1e-12, moved),
    *mixer_laws(
        "linear-attention/turned", turned, only=("steps", "packed", "padding", "future", "split")
    ),
]
