"""The space `classifier`: features of a small network that tells the classes of this data apart.

It is trained once on the training split by the recipe below, which depends on nothing but the
data; accuracy is measured on the validation split, the hash is of the trained weights. Network
and facts are kept on disk by the hash of data and recipe. Distances in this space are comparable
between runs that print the same hash, and with no published number.

Source: the construction follows arXiv:1706.08500 with a network of one's own in place of
Inception's; OneCycle schedule arXiv:1708.07120.
"""

import time
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from danlu.contracts import DanluError
from danlu.data import Examples, Source
from danlu.evaluation.features import cache
from danlu.evaluation.features.network import CHANNELS, FEATURES, FeatureNetwork
from danlu.evaluation.features.space import CHUNK, FeatureSpace
from danlu.training.policy import multiplies_bfloat16

VERSION = 1  # raise it with any change below or in the network: it is part of the cache's key


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How the classifier is trained; a change makes it another space."""

    seed: int = 0
    epochs: int = 4
    least_examples: int = 24_000  # small sets are seen more often
    most_examples: int = 200_000
    batch: int = 128
    rate: float = 4e-3
    warmup: float = 0.2
    weight_decay: float = 0.02
    betas: tuple[float, float] = (0.9, 0.99)

    def steps(self, examples: int) -> int:
        """Steps on a training split of this size."""
        seen = max(self.epochs * examples, self.least_examples)
        return min(seen, self.most_examples) // self.batch


RECIPE = Recipe()
PROBE_STEPS = 4  # behind an estimate of the time


def classifier_space(source: Source, recipe: Recipe = RECIPE) -> FeatureSpace:
    """The space of a data set with classes; trained now unless it is kept on disk.

    Figures that are to be compared keep the default recipe.

    Raises:
        DanluError: the data has no classes, or is not images.
    """
    description = source.description
    if source.training.ids is None or not description.is_image:
        raise DanluError(f"{source.name} has no classes of images to train a classifier on.")
    network = FeatureNetwork.seeded(recipe.seed, description.shape, description.classes)
    halved = multiplies_bfloat16("cpu")
    key = _key(source, recipe, halved=halved)
    known = cache.recall(key)
    seconds, unkept = 0.0, ""
    if known is None:
        start = time.perf_counter()
        train(network, source.training, recipe, halved=halved)
        network.settle(source.training)
        facts = {"accuracy": str(accuracy(network, source.validation))}
        seconds = time.perf_counter() - start
        unkept = cache.keep(key, network.state_dict(), facts)
    else:
        weights, facts = known
        network.load_state_dict(weights)
    network.eval().requires_grad_(False)
    space = FeatureSpace(
        "classifier",
        cache.weight_hash(network.state_dict()),
        network.features,
        title="penultimate layer of a classifier trained on this training split",
        classify=network.head,
        accuracy=float(facts["accuracy"]),
        seconds=seconds,
    )
    space.unkept = unkept
    return space


def seconds_needed(source: Source, recipe: Recipe = RECIPE) -> float:
    """An estimate of the time that `classifier_space` will take: 0 where the network is kept."""
    halved = multiplies_bfloat16("cpu")
    if cache.recall(_key(source, recipe, halved=halved)) is not None:
        return 0.0
    description, examples = source.description, source.training
    network = FeatureNetwork.seeded(recipe.seed, description.shape, description.classes)
    first = replace(recipe, least_examples=0, most_examples=recipe.batch)
    train(network, examples, first, halved=halved)  # slower than the other steps
    start = time.perf_counter()
    probe = replace(first, most_examples=PROBE_STEPS * recipe.batch)
    train(network, examples, probe, halved=halved)
    return (time.perf_counter() - start) / PROBE_STEPS * recipe.steps(len(examples))


def _key(source: Source, recipe: Recipe, *, halved: bool) -> str:
    return cache.content_hash(source.training, VERSION, recipe, CHANNELS, FEATURES, halved)


def train(network: FeatureNetwork, examples: Examples, recipe: Recipe, *, halved: bool) -> None:
    """Train by a recipe; `halved` multiplies in bfloat16."""
    generator = torch.Generator().manual_seed(recipe.seed)
    steps = recipe.steps(len(examples))
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=recipe.rate,
        betas=recipe.betas,
        weight_decay=recipe.weight_decay,
        foreach=True,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.rate, total_steps=max(steps, 2), pct_start=recipe.warmup
    )
    network.train().requires_grad_(True)
    order = torch.empty(0, dtype=torch.int64)
    assert examples.ids is not None
    for _ in range(steps):
        while len(order) < recipe.batch:
            order = torch.cat([order, torch.randperm(len(examples), generator=generator)])
        index, order = order[: recipe.batch], order[recipe.batch :]
        with torch.enable_grad():
            with torch.autocast("cpu", torch.bfloat16, enabled=halved):
                logits = network(examples.x(index))
            loss = F.cross_entropy(logits.float(), examples.ids[index])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
        optimizer.step()
        schedule.step()


def accuracy(network: FeatureNetwork, examples: Examples) -> float:
    """Share of examples whose most probable class is theirs."""
    network.eval()
    with torch.no_grad():
        logits = torch.cat([network(x) for x in examples.x().split(CHUNK)])
    return _hits(logits, examples)


def accuracy_of(space: FeatureSpace, examples: Examples) -> float | None:
    """Accuracy of a space's classifier on a split; None where it has no classifier."""
    logits = space.logits(space.features(examples.x())) if space.labels else None
    return None if logits is None else _hits(logits, examples)


def _hits(logits: Tensor, examples: Examples) -> float:
    assert examples.ids is not None
    return (logits.argmax(1) == examples.ids).double().mean().item()
