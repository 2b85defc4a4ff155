"""The network behind feature spaces: its training written apart, its sizes and its scale."""

import math
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, cross_entropy, max_pool2d

from danlu.contracts import Classes, DataDescription, DataKind
from danlu.data import Examples
from danlu.evaluation.features.classifier import Recipe, accuracy, train
from danlu.evaluation.features.network import FeatureNetwork
from danlu.evaluation.features.space import FeatureSpace
from danlu.evaluation.metrics import METRICS
from danlu.evaluation.metrics.cloud import Cloud, subset
from danlu.evaluation.metrics.frechet import frechet_stderr
from danlu.evaluation.metrics.metric import Comparison
from danlu.evaluation.reference import Reference
from danlu.laws.draws import generator, seed
from danlu.laws.gaps import gap, largest, relative_gap
from danlu.laws.law import Law, stated

SHAPE = (1, 8, 8)
RATIOS = ("neighbour-distance", "sharpness")


def _examples(n: int) -> Examples:
    description = DataDescription(
        kind=DataKind.IMAGE, shape=SHAPE, levels=None, low=-1.0, high=1.0, condition=Classes(3)
    )
    x = torch.rand(n, *SHAPE, generator=generator(), dtype=torch.float32) * 2 - 1
    return Examples(x, torch.arange(n) % 3, description)


def _training() -> float:
    """The classifier's training equals its loop written apart, rate and memory in one cycle."""
    examples = _examples(40)
    recipe = Recipe(epochs=2, least_examples=100, batch=16, rate=0.01, seed=seed(1))
    found = FeatureNetwork.seeded(seed(), SHAPE, 3).float()
    train(found, examples, recipe, halved=False)
    exact = FeatureNetwork.seeded(seed(), SHAPE, 3).float().train()
    adam = torch.optim.AdamW(exact.parameters(), betas=(0.9, 0.99), weight_decay=0.02)
    draws = generator(1)
    order = torch.cat([torch.randperm(40, generator=draws) for _ in range(3)])
    for step in range(6):
        adam.param_groups[0]["lr"] = _rate(step, 6, 0.01)
        adam.param_groups[0]["betas"] = (_memory(step, 6), 0.99)
        rows = order[16 * step : 16 * step + 16]
        adam.zero_grad()
        cross_entropy(exact(examples.x(rows)), rows % 3).backward()
        adam.step()
    return relative_gap(list(found.state_dict().values()), list(exact.state_dict().values()))


def _share(step: int, steps: int) -> tuple[float, bool]:
    """How far a step is up or down one cycle, whose top is after a fifth."""
    top, last = 0.2 * steps - 1, steps - 1
    return (step / top, True) if step <= top else ((step - top) / (last - top), False)


def _rate(step: int, steps: int, most: float) -> float:
    share, rising = _share(step, steps)
    first, last = most / 25, most / 25 / 1e4
    low, high = (first, most) if rising else (most, last)
    return high + (low - high) / 2 * (1 + math.cos(math.pi * share))


def _memory(step: int, steps: int) -> float:
    share, rising = _share(step, steps)
    low, high = (0.95, 0.85) if rising else (0.85, 0.95)
    return high + (low - high) / 2 * (1 + math.cos(math.pi * share))


def _settled() -> float:
    """Settled features have a mean square of 1 and leave the scores alone."""
    examples, network = _examples(30), FeatureNetwork.seeded(seed(), SHAPE, 3).float().eval()
    before = network(examples.x()).detach()
    network.settle(examples)
    features = network.features(examples.x())
    size = features.square().mean().item()
    return largest(gap(size, 1), relative_gap(network(examples.x()), before))


def _shapes() -> float:
    """Images come to a grid of at most 32 by 32 and to 128 features."""
    found = []
    for shape in ((1, 8, 8), (3, 28, 28), (1, 64, 24), (2, 5, 9)):
        network = FeatureNetwork.seeded(seed(), shape, 4).float().eval()
        linear = next(m for m in network.body if isinstance(m, torch.nn.Linear))
        features: Tensor = network.features(torch.zeros(2, *shape, dtype=torch.float32))
        found.append([linear.in_features, features.shape[1]])
    return gap(found, [[128, 128], [128 * 16, 128], [128 * 8, 128], [128 * 2, 128]])


def _layers() -> float:
    """Features are those of the layers by hand, of 32, 64 and 128 channels."""
    worst = 0.0
    for side, stride in ((8, 1), (40, 2)):
        network = FeatureNetwork.seeded(seed(), (2, side, side), 3).float().eval()
        for name, value in network.state_dict().items():
            if "running_var" in name:
                value.uniform_(0.5, 1.5, generator=generator())
            if "running_mean" in name:
                value.uniform_(-0.1, 0.1, generator=generator(2))
        x = torch.randn(3, 2, side, side, generator=generator(1), dtype=torch.float32)
        body: Any = network.body
        h, layers = x, list(body)
        for first, channels in ((0, 32), (4, 64), (8, 128)):
            step, norm = (stride if first == 0 else 1), layers[first + 1]
            h = conv2d(h, layers[first].weight, stride=step, padding=step)
            scale = norm.weight / (norm.running_var + 1e-5).sqrt()
            h = (h - norm.running_mean.view(-1, 1, 1)) * scale.view(-1, 1, 1)
            h = max_pool2d((h + norm.bias.view(-1, 1, 1)).clamp(min=0), 2, ceil_mode=True)
            worst = largest(worst, abs(h.shape[1] - channels))
        linear = layers[13]
        exact = (h.flatten(1) @ linear.weight.T + linear.bias).clamp(min=0)
        assert exact.std() > 0, "no feature differs from another"
        worst = largest(worst, relative_gap(network.features(x), exact))
    return worst


def _hits() -> float:
    """Accuracy counts right classes, and chunks of features come in order."""
    examples, network = _examples(700), FeatureNetwork.seeded(seed(), SHAPE, 3).float().eval()
    with torch.no_grad():
        right = network(examples.x()).argmax(1) == torch.arange(700) % 3
        whole = network.features(examples.x())
    space = FeatureSpace("n", "0", network.features, title="")
    found = accuracy(network, examples), space.features(examples.x())
    return gap(found, (right.double().mean().item(), whole))


def _matched() -> float:
    """Samples and held-out data are cut to equal numbers."""
    x, y = (torch.randn(n, 2, generator=generator(n)) for n in (30, 20))
    description = DataDescription(shape=(2,), levels=None, low=-9.0, high=9.0)
    space = FeatureSpace("plane", "7", lambda v: v, title="a plane")
    reference = Reference(Examples(y, None, description), description)
    comparison = Comparison(x, None, reference, space, Cloud(x))
    pairs = [(comparison.matched(), x[subset(30, 20)], y)]
    pairs.append((comparison.matched(8), x[subset(30, 8)], y[subset(20, 8)]))
    facts = [space.facts()[name] for name in ("name", "title", "hash", "accuracy", "seconds")]
    if facts != ["plane", "a plane", "7", None, 0.0]:
        return math.inf
    most = signature(Comparison.matched).parameters["most"].default
    found = [(a.points, b.points) for (a, b), *_ in pairs]
    return gap((found, most), ([(a, b) for _, a, b in pairs], 2000))


def _applies() -> float:
    """Metrics apply to the data that they are made for."""
    found = []
    vector, image = DataKind.VECTOR, DataKind.IMAGE
    for kind, shape in ((vector, (3,)), (vector, (4,)), (image, (1, 3, 9)), (image, (1, 4, 4))):
        description = DataDescription(kind=kind, shape=shape, levels=None, low=-1.0, high=1.0)
        x = torch.zeros(4, *shape)
        reference = Reference(Examples(x, None, description), description)
        space = FeatureSpace("pixels", "0", lambda v: v.flatten(1), title="")
        comparison = Comparison(x, None, reference, space, Cloud(x.flatten(1)))
        names = ("wasserstein", "sharpness", "frechet", "class-agreement", "modes-hit")
        found.append([METRICS[name].target().applies(comparison) for name in names])
    few = [False, False, True, False, False]
    return gap(found, [[True, *few[1:]], few, few, [False, True, *few[2:]]])


def _flat() -> float:
    """Flat directions carry no error."""
    x, y = (torch.randn(n, 2, generator=generator(n)) for n in (30, 40))
    wide = [Cloud(torch.cat([v, torch.full((len(v), 1), 2.0)], dim=1)) for v in (x, y)]
    return relative_gap(frechet_stderr(*wide), frechet_stderr(Cloud(x), Cloud(y)))


def _nothing() -> float:
    """Nothing over nothing is 1, and something over nothing is infinite."""
    held, drawn = torch.ones(6, 1, 8, 8), torch.rand(4, 1, 8, 8, generator=generator())
    description = DataDescription(kind=DataKind.IMAGE, shape=SHAPE, levels=None, low=0.0, high=1.0)
    # Held-out images that are flat copies of the training data have no distance and no detail.
    examples = Examples(held, None, description)
    reference = Reference(examples, description, training=examples)
    space, found = FeatureSpace("pixels", "0", lambda v: v.flatten(1), title=""), []
    for x in (held[:4], drawn, held):
        comparison = Comparison(x, None, reference, space, Cloud(x.flatten(1)))
        ratios = [METRICS[name].target().measure(comparison).value for name in RATIOS]
        found.append([comparison.size, *ratios])
    return gap(found, [[4, 1.0, 1.0], [4, math.inf, math.inf], [6, 1.0, 1.0]])


def _subsets() -> float:
    """Subsets are the same every time, and in order."""
    chosen = subset(100, 30)
    again = subset(100, 40)
    kept = set(chosen.tolist()) <= set(again.tolist())
    ordered = chosen.diff().min().item() > 0
    return gap([len(chosen), kept, ordered, subset(5, 9).tolist()], [30, True, True, [*range(5)]])


LAWS: list[Law] = [
    stated("evaluation/matched", 0.0, _matched, "definition"),
    stated("evaluation/applies", 0.0, _applies, "contract"),
    stated("evaluation/nothing", 0.0, _nothing, "closed form"),
    stated("evaluation/frechet-flat", 1e-6, _flat, "closed form"),
    stated("evaluation/classifier", 1e-4, _training, "definition"),
    stated("evaluation/settled", 1e-5, _settled, "definition"),
    stated("evaluation/feature-sizes", 0.0, _shapes, "enumeration"),
    stated("evaluation/feature-layers", 1e-4, _layers, "definition"),
    stated("evaluation/hits", 1e-5, _hits, "definition"),
    stated("evaluation/subsets", 0.0, _subsets, "contract"),
]
