"""What laws of families are measured on: tiny models, random examples, plays and uses."""

from collections.abc import Callable, Iterator
from dataclasses import fields, make_dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from danlu.contracts import Batch, Condition, DanluError, DataDescription, Progress, Stage
from danlu.data import Examples, ExampleStream
from danlu.generative.base import GenerativeModel
from danlu.generative.tiny import TINY, TINY_VECTOR
from danlu.laws.draws import generator, seed, seeded

Build = Callable[..., GenerativeModel]

N, ENTROPY = 5, 7
CHEAP = {"draws": 2, "likelihood_steps": 2, "probes": 2, "evaluations": 2, "terms": 2}
"""Values of options that make a call cheap, where a family has them."""


def tiny(build: Build) -> Iterator[GenerativeModel]:
    """Tiny models in float64 for images with classes and for vectors without.

    A family may refuse vectors, which have no levels; images it must take.
    """
    for description in (TINY, TINY_VECTOR):
        with seeded(ENTROPY):
            try:
                model = build(description)
            except DanluError:
                if description.levels is not None:
                    raise
                continue
        yield quick(model.double().eval())


def examples(description: DataDescription, n: int = N) -> Batch:
    """A batch of random data."""
    source = generator()
    shape = (n, *description.shape)
    if description.levels:
        level = torch.randint(description.levels, shape, generator=source)
        x = description.low + level * description.spacing
    else:
        x = torch.randn(shape, generator=source)
    told = Condition(torch.arange(n) % description.classes) if description.classes else None
    return Batch(x.double(), told, torch.arange(n))


def class_ids(model: GenerativeModel) -> Tensor | None:
    """Ids for N examples; None where the model takes none."""
    classes = model.description.classes
    return torch.arange(N) % classes if classes and "condition" in model.can else None


def conditions(model: GenerativeModel) -> list[Any]:
    """None, and class ids where the model takes them."""
    ids = class_ids(model)
    return [None] if ids is None else [None, ids]


def quick(model: Any) -> Any:
    """The model; what its options and those of its parts leave out is quick from here on."""
    for part in model.modules():
        if isinstance(part, GenerativeModel):
            there = {f.name for f in fields(part.Options) if f.default is not None}
            quick = [(name, int, few) for name, few in CHEAP.items() if name in there]
            bases = {"bases": (part.Options,), "frozen": True, "kw_only": True}
            if quick:  # options that nest have what their parts have
                setattr(part, "Options", make_dataclass("Quick", quick, **bases))  # noqa: B010
    return model


def cheap(model: GenerativeModel) -> Any:
    """Options under which a call is quick."""
    return quick(model).Options()


def plays(model: GenerativeModel, n: int = N) -> Iterator[tuple[str, Batch]]:
    """Every player with a batch of the stage in which it plays."""
    batch = examples(model.description, n)
    data = ExampleStream(
        Examples(batch.x, batch.condition, model.description),
        model.description,
        batch=n,
        seed=seed(),
    )
    for stage in model.stages():
        batch = next(prepared(model, stage, data))
        for name in dict.fromkeys(play.name for play in stage.plays):
            yield name, batch


def prepared(model: GenerativeModel, stage: Stage, data: ExampleStream) -> Any:
    """The stream of a stage."""
    data.seek(0)
    return stage.prepare(model, data) if stage.prepare else data


def seeded_loss(model: GenerativeModel, name: str, batch: Batch) -> Any:
    """The losses of one play after seeding torch as the trainer does."""
    with seeded(ENTROPY):
        return model.loss(batch, name, Progress(step=0, fraction=0.5, seed=ENTROPY))


def uses(model: GenerativeModel) -> dict[str, Callable[[], Tensor]]:
    """A call of each capability whose result has the shape of the data, or a value each."""
    batch = examples(model.description)
    ids = class_ids(model)
    code = cache(lambda: model.encode(batch.x, condition=ids))
    decoded = code if "encode" in model.can else lambda: batch.x
    return {
        "sample": lambda: model.sample(N, condition=ids),
        "log_prob": lambda: model.log_prob(batch.x, condition=ids).value,
        "encode": lambda: _first(code()),
        "decode": lambda: model.decode(decoded(), condition=ids),
        "reconstruct": lambda: model.reconstruct(batch.x, condition=ids),
    }


def _first(code: Any) -> Tensor:
    return code[0] if isinstance(code, tuple) else code
