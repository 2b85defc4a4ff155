"""Laws of softmax attention in linear time: random features, and quantised keys."""

import itertools
import math
from collections.abc import Iterable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import layer_norm, silu

from danlu.contracts import SequenceContext
from danlu.estimators.straight_through import straight_through
from danlu.experiments.checks.gaps import gap
from danlu.experiments.checks.law import Case, Law, law_of_cases
from danlu.experiments.checks.sequences import gradients, made, tokens
from danlu.mixers.performer import Performer, exponents, orthogonal_rows
from danlu.mixers.transformer_vq import TransformerVQ
from danlu.positions.alibi import ALiBi

DRAWS, SIZE = 1500, 4


def _pair() -> tuple[Tensor, Tensor]:
    """A query and a key as the scores see them, with a norm of the sum of about 1."""
    q = torch.tensor([0.5, -0.2, 0.1, 0.4], dtype=torch.float64)
    return q, torch.tensor([0.3, 0.1, -0.2, 0.2], dtype=torch.float64)


def _products(q: Tensor, k: Tensor, projection: Tensor) -> Tensor:
    """The product of each feature of a query and a key, whose mean over draws is exp(q k)."""
    q, k = (x * SIZE**0.25 for x in (q, k))  # the layer takes this factor off
    return (exponents(q, projection) + exponents(k, projection)).exp()


def features_are_unbiased() -> float:
    """Mean and variance of a feature by Gaussian quadrature, against their closed forms."""
    q, k = _pair()
    nodes, mass = np.polynomial.hermite_e.hermegauss(60)
    along = (q + k) / (q + k).norm()  # nothing else of the projection matters
    found = _products(q, k, torch.from_numpy(nodes)[:, None] * along)
    mass = torch.from_numpy(mass / math.sqrt(2 * math.pi))
    mean, square = (mass * found).sum(), (mass * found.square()).sum()
    size = (q + k).square().sum()
    variance = size.exp() * (2 * q @ k).exp() * (1 - (-size).exp())
    return max(abs(mean - (q @ k).exp()).item(), abs(square - mean**2 - variance).item())


def _estimates() -> Tensor:
    """Estimates of exp(q k) by orthogonal features, one for each draw."""
    q, k = _pair()
    rows = [orthogonal_rows(SIZE, SIZE, norms="chi", seed=n) for n in range(DRAWS)]
    return _products(q, k, torch.cat(rows).double()).unflatten(0, (DRAWS, SIZE)).mean(-1)


def orthogonal_is_unbiased() -> float:
    """Distance of the mean of orthogonal estimates from the truth, in standard errors."""
    q, k = _pair()
    found = _estimates()
    return abs(found.mean() - (q @ k).exp()).item() / (found.std() / math.sqrt(DRAWS)).item()


def orthogonal_is_better() -> float:
    """Variance of orthogonal estimates relative to the closed form for independent ones."""
    q, k = _pair()
    size = (q + k).square().sum()
    independent = size.exp() * (2 * q @ k).exp() * (1 - (-size).exp()) / SIZE
    return (_estimates().var() / independent).item()


def rows_are_orthogonal() -> float:
    """Products of different rows of a block, and of norms from sqrt(d) where they are equal."""
    rows = orthogonal_rows(10, SIZE, norms="equal", seed=3).double()
    worst = 0.0
    for block in rows.split(SIZE):
        worst = max(worst, gap(block @ block.T, SIZE * torch.eye(len(block)).double()))
    return worst


def features_give_attention() -> Iterable[Case]:
    """The layer against sums over pairs of tokens with the features written out."""
    for causal in (True, False):

        def error(causal: bool = causal) -> float:
            mixer = made(partial(Performer, SIZE, heads=1, features=6, causal=causal))
            x = tokens(mixer, 5, batch=1)
            q, k, v = (to(x)[0] for to in (mixer.query, mixer.key, mixer.value))
            powers = [(exponents(part, mixer.projection)).exp() for part in (q, k)]
            given = powers[0] @ powers[1].T
            given = given.tril() if causal else given
            expected = (given / given.sum(1, keepdim=True)) @ v
            return gap(mixer(x)[0], mixer.output(expected)[None])

        yield "causal" if causal else "bidirectional", error


def large_keys_stay_finite() -> float:
    """Error of the first output for keys whose plain features would all be zero in float64."""
    mixer = made(partial(Performer, SIZE, heads=1, features=6))
    x = tokens(mixer, 7) / 20
    x = x + 100 * x[:, :1]
    with torch.no_grad():
        mixer.key.weight.copy_(12 * torch.eye(SIZE))
    if exponents(mixer.key(x), mixer.projection).max() > -800:
        return math.inf  # nothing would be tested
    y, state = mixer(x[:, :4])
    y = torch.cat([y, mixer(x[:, 4:], None, state)[0]], dim=1)
    first = mixer.output(mixer.value(x[:, :1]))
    return gap(y[:, :1], first) if y.isfinite().all() else math.inf


def redraw_follows_steps() -> float:
    """Wrong answers: features must change at every third step, and only then."""
    mixer, wrong = Performer(SIZE, heads=1, features=6, redraw_every=3), 0
    for step in range(1, 8):
        before = mixer.projection.clone()
        mixer.after_step(step)
        wrong += bool((mixer.projection != before).any()) != (step % 3 == 0)
    return float(wrong)


def quantised_attention() -> Iterable[Case]:
    """The linear form against all pairs of quantised keys, gradients included."""
    for cached, length in itertools.product((True, False), (1, 3, 11)):

        def error(cached: bool = cached, length: int = length) -> float:
            build = partial(TransformerVQ, 6, size=4, codes=5, block=3, cache_gradient=cached)
            mixer = made(partial(build, position=ALiBi(1)))
            x = tokens(mixer, length)
            found = gradients(mixer, x, lambda x: mixer(x, form="chunked")[0])
            return gap(found, gradients(mixer, x, lambda x: _by_pairs(mixer, x)))

        yield f"length {length}, values beyond {'with' if cached else 'without'} gradient", error


def _by_pairs(mixer: TransformerVQ, x: Tensor) -> Tensor:
    """Softmax over single keys: straight-through in two blocks, constant and unbiased beyond."""
    gate, v, q, k = mixer.inward(x).split(mixer.sizes, dim=-1)
    q, k, v = layer_norm(q, (4,)) + mixer.content, layer_norm(k, (4,)), silu(v)
    codes = mixer.codebook.vectors
    constant = codes[torch.cdist(k.detach(), codes[None]).argmin(-1)]
    passed, rows = straight_through(constant, k), []
    places = torch.arange(x.shape[1])[None]
    bias = mixer.position.bias(q[:1, None], k[:1, None], places, places)[0, 0]
    for i in range(x.shape[1]):
        scores, values = [], []
        for j in range(i + 1):
            near = i // mixer.block - j // mixer.block <= 1
            key = passed[:, j] if near else constant[:, j]
            scores.append((q[:, i] * key).sum(-1) / 2 + (bias[i, j] if near else 0.0))
            values.append(v[:, j] if near or mixer.cache_gradient else v[:, j].detach())
        given = torch.stack(scores, -1).softmax(-1)
        rows.append((given[..., None] * torch.stack(values, 1)).sum(1))
    return mixer.output(silu(gate) * torch.stack(rows, 1))


def codes_start_at_keys() -> float:
    """Excess of the commitment after the start over half of before, and its error by distances."""
    mixer = made(partial(TransformerVQ, 6, size=4, codes=8, block=3)).train()
    x, losses = tokens(mixer, 60), []
    for _ in range(2):
        context = SequenceContext()
        mixer(x, context)
        losses.append(dict(context.penalties)["commitment"].item())
        with torch.random.fork_rng():
            torch.manual_seed(0)
            mixer.start(x)
    k = layer_norm(mixer.inward(x).split(mixer.sizes, dim=-1)[3], (4,))
    context = SequenceContext()
    mixer(x, context)
    reported = dict(context.penalties)["commitment"]
    distance = torch.cdist(k, mixer.codebook.vectors[None]).amin(-1).square().mean()
    return max(losses[1] - losses[0] / 2, 0.0) + gap(reported, distance)


_SINGLE = [
    ("performer/unbiased", "mean and variance are the stated ones", 1e-12, features_are_unbiased),
    ("performer/orthogonal", "orthogonal rows are unbiased, in s.e.", 4.0, orthogonal_is_unbiased),
    ("performer/variance", "and vary less than independent ones", 0.95, orthogonal_is_better),
    ("performer/orthogonal-rows", "equal rows are orthogonal", 1e-5, rows_are_orthogonal),
    ("performer/large-keys", "large keys are no zero by zero", 1e-9, large_keys_stay_finite),
    ("performer/redraw", "features change when told", 0.0, redraw_follows_steps),
    ("transformer-vq/start", "k-means halves the commitment", 1e-12, codes_start_at_keys),
]

_CASES = [
    ("performer/definition", "it sums over pairs of features", 1e-12, features_give_attention),
    ("transformer-vq/quadratic", "linear equals all pairs", 1e-10, quantised_attention),
]

LAWS = [
    *(Law(f"mixers/{name}", said, limit, run) for name, said, limit, run in _SINGLE),
    *(law_of_cases(f"mixers/{name}", said, limit, cases) for name, said, limit, cases in _CASES),
]
