"""Laws of what every family is told, of every kind: it counts, and left out it is the null."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from danlu.contracts import Batch, Condition, DanluError, Kind, name_of
from danlu.generative import FAMILIES
from danlu.generative.base import GenerativeModel
from danlu.generative.tiny import TINY
from danlu.laws.conditioning.conditioners import KINDS, N, some
from danlu.laws.draws import generator, seed, seeded
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.subjects import Build, examples, quick, seeded_loss
from danlu.laws.law import Case, Law, law_of_cases

LEFT = 1
"""The row whose condition is left out."""


def told(build: Build, kind: Kind) -> GenerativeModel:
    """A tiny model of images that is told a kind; all of its weights count.

    Of images without levels where it learns them: on levels, samples may be the same by chance.
    """
    with seeded(1):
        try:
            model = build(replace(TINY, levels=None, condition=kind))
        except DanluError:
            model = build(replace(TINY, condition=kind))
        model = quick(model.double().eval())
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator()))
        return model


def answers(model: GenerativeModel, condition: Condition | None) -> list[Tensor]:
    """Samples, a row for each condition, and on levels likelihoods."""
    found = [model.sample(N, condition=condition, seed=seed())]
    if model.description.levels is not None:
        x = examples(model.description, N).x
        found.append(model.log_prob(x, condition=condition, seed=seed()).value)
    return found


def heard(build: Build, kind: Kind) -> float:
    """Answers that another condition leaves as they are, and what a left out one changes."""
    model, keep = told(build, kind), torch.arange(N) != LEFT
    one, other = (answers(model, some(kind, stream).only(keep)) for stream in range(2))
    none = answers(model, None)
    deaf = sum(float(torch.equal(one[-1][keep], each[-1][keep])) for each in (other, none))
    return deaf + largest(gap(a[LEFT], b[LEFT]) for a, b in zip(one, none, strict=True))


def learned(build: Build, kind: Kind) -> float:
    """Weights that the first stage's losses do not reach while the kind is told."""
    model = told(build, kind)
    batch = examples(model.description, N)
    batch, wrong = Batch(batch.x, some(kind), batch.index), 0.0
    for play in model.stages()[0].plays:
        losses = seeded_loss(model, play.name, batch)
        owned = [p for module in model.players()[play.name] for p in module.parameters()]
        found = torch.autograd.grad(losses.total, owned, allow_unused=True)
        wrong += sum(g is None or not bool(g.isfinite().all()) for g in found)
    return wrong


def cases(build: Build, name: str) -> Iterator[Case]:
    """Every kind, told to a family."""
    for kind in KINDS:
        yield f"{name} told {name_of(kind)}", partial(heard, build, kind)
        yield f"{name} trained on {name_of(kind)}", partial(learned, build, kind)


def told_laws(name: str, build: Build) -> list[Law]:
    """The row for one family; none for one that is told nothing."""
    if "condition" not in build().can:
        return []
    said = "every kind of condition counts; left out, it is the null condition"
    rows = partial(cases, build, name)
    return [law_of_cases(f"family/{name}/told", said, 1e-9, rows, "contract")]


LAWS = [law for name, method in FAMILIES.items() for law in told_laws(name, method.build)]
