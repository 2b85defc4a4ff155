"""The network behind feature spaces: its training written apart, its sizes and its scale."""

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from danlu.contracts import DataDescription
from danlu.data import Examples
from danlu.evaluation.features.classifier import Recipe, accuracy, train
from danlu.evaluation.features.network import FeatureNetwork
from danlu.evaluation.features.space import FeatureSpace
from danlu.evaluation.metrics.cloud import subset
from danlu.experiments.checks.draws import generator
from danlu.experiments.checks.gaps import gap, relative_gap
from danlu.experiments.checks.law import Law

SHAPE = (1, 8, 8)


def _examples(n: int) -> Examples:
    description = DataDescription(shape=SHAPE, levels=None, low=-1.0, high=1.0, classes=3)
    x = torch.rand(n, *SHAPE, generator=generator(), dtype=torch.float32) * 2 - 1
    return Examples(x, torch.arange(n) % 3, description)


def _training() -> float:
    """AdamW in shuffled batches that run on over epochs, the rate up for a share and down."""
    examples, recipe = _examples(40), Recipe(epochs=2, least_examples=100, batch=16, rate=0.01)
    found = FeatureNetwork.seeded(1, SHAPE, 3).float()
    train(found, examples, recipe, halved=False)
    exact = FeatureNetwork.seeded(1, SHAPE, 3).float().train()
    adam = torch.optim.AdamW(exact.parameters(), betas=(0.9, 0.99), weight_decay=0.02)
    draws = torch.Generator().manual_seed(0)
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
    """Features of the data have a mean square of 1, and class scores do not change."""
    examples, network = _examples(30), FeatureNetwork.seeded(2, SHAPE, 3).float().eval()
    before = network(examples.x()).detach()
    network.settle(examples)
    features = network.features(examples.x())
    size = features.square().mean().item()
    return max(abs(size - 1), relative_gap(network(examples.x()), before))


def _shapes() -> float:
    """A grid of at most 32 by 32, halved thrice, rounded up; 128 features."""
    found = []
    for shape in ((1, 8, 8), (3, 28, 28), (1, 64, 48), (2, 5, 9)):
        network = FeatureNetwork.seeded(0, shape, 4).float().eval()
        linear = next(m for m in network.body if isinstance(m, torch.nn.Linear))
        features: Tensor = network.features(torch.zeros(2, *shape, dtype=torch.float32))
        found.append([linear.in_features, features.shape[1]])
    return gap(found, [[128, 128], [128 * 16, 128], [128 * 12, 128], [128 * 2, 128]])


def _hits() -> float:
    """The share of right classes of a network, and the features of a space in their order."""
    examples, network = _examples(700), FeatureNetwork.seeded(3, SHAPE, 3).float().eval()
    with torch.no_grad():
        right = network(examples.x()).argmax(1) == torch.arange(700) % 3
        whole = network.features(examples.x())
    space = FeatureSpace("n", "0", network.features, title="")
    found = accuracy(network, examples), space.features(examples.x())
    return gap(found, (right.double().mean().item(), whole))


def _subsets() -> float:
    """Fewer of many are drawn once and stay the same, in order; all where there are no more."""
    chosen = subset(100, 30)
    again = subset(100, 40)
    kept = set(chosen.tolist()) <= set(again.tolist())
    ordered = chosen.diff().min().item() > 0
    return gap([len(chosen), kept, ordered, subset(5, 9).tolist()], [30, True, True, [*range(5)]])


LAWS: list[Law] = [
    Law(
        "evaluation/classifier",
        "the classifier's training equals its loop written apart, rate and memory in one cycle",
        1e-4,
        _training,
        oracle="definition",
    ),
    Law(
        "evaluation/settled",
        "settled features have a mean square of 1 and leave the scores alone",
        1e-5,
        _settled,
        oracle="definition",
    ),
    Law(
        "evaluation/feature-sizes",
        "images come to a grid of at most 32 by 32 and to 128 features",
        0.0,
        _shapes,
        oracle="enumeration",
    ),
    Law(
        "evaluation/hits",
        "accuracy counts right classes, and chunks of features come in order",
        1e-5,
        _hits,
        oracle="definition",
    ),
    Law(
        "evaluation/subsets",
        "subsets are the same every time, and in order",
        0.0,
        _subsets,
        oracle="contract",
    ),
]
