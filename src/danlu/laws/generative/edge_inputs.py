"""Inputs at the edge, for every family: no examples, other types, values and ids that are not data.

What is not refused in words must be right: the same as for the plain input.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from danlu.contracts import Batch, Condition, DanluError
from danlu.generative import FAMILIES
from danlu.generative.base import GenerativeModel
from danlu.generative.tiny import TINY
from danlu.laws.gaps import gap
from danlu.laws.generative.subjects import Build, N, cheap, class_ids, examples, seeded_loss, tiny
from danlu.laws.law import Case, Law, law_of_cases

Use = Callable[..., Any]


def _in_words(use: Callable[[], Any]) -> float:
    """0 where an input is refused in one line."""
    try:
        use()
    except DanluError as error:
        return float("\n" in str(error))
    return 1.0


def _uses(model: GenerativeModel) -> dict[str, Use]:
    """What takes examples, as functions of them and of class ids."""
    options = cheap(model)
    known = {
        "log_prob": lambda x, ids=None: model.log_prob(x, condition=ids, options=options).value,
        "encode": lambda x, ids=None: model.encode(x, condition=ids),
    }
    return {name: use for name, use in known.items() if name in model.can}


def _sampled(model: GenerativeModel, ids: Any) -> Tensor:
    return model.sample(N, condition=ids, options=cheap(model))


def of_other_types(build: Build) -> Iterator[Case]:
    """Examples and ids of other types against the plain ones."""
    for model in tiny(build):
        x, ids = examples(model.description).x[:1], class_ids(model)
        for name, use in list(_uses(model).items())[:1]:
            halves = x.to(torch.float32)
            yield f"{name} of float32", lambda u=use, h=halves: gap(u(h), u(h.double()))
        if "sample" not in model.can:
            continue
        yield "no sample", lambda m=model: float(len(m.sample(0, options=cheap(m))))
        if ids is None:
            continue
        for dtype in (torch.uint8, torch.int32):
            yield (
                f"classes of {dtype}",
                lambda m=model, i=ids, d=dtype: gap(_sampled(m, i.to(d)), _sampled(m, i)),
            )
        for one in (np.int64(1), torch.tensor(1)):
            yield (
                f"one class, {type(one).__name__}",
                lambda m=model, s=one, i=ids: gap(_sampled(m, s), _sampled(m, torch.ones_like(i))),
            )


def in_other_precision(build: Build) -> Iterator[Case]:
    """Examples of float64 given to a model of float32, against those of its own type."""
    for model in tiny(build):
        model.float()
        x = examples(model.description).x[:1]
        for name, use in list(_uses(model).items())[-1:]:
            yield f"{name} of float64", lambda u=use, x=x: gap(u(x), u(x.float()))


def of_a_batch(build: Build) -> Iterator[Case]:
    """The loss of a batch whose class ids are bytes, against that of plain ones."""
    for model in tiny(build):
        if class_ids(model) is None or not model.players():
            continue
        (stage, *_) = model.stages()
        if stage.prepare is not None:
            continue
        batch, player = examples(model.description), stage.plays[0].name
        assert batch.condition is not None
        small = Condition(batch.condition.values.to(torch.uint8))  # type: ignore[union-attr]
        small = Batch(batch.x, small, batch.index)

        def error(m: Any = model, b: Batch = batch, s: Batch = small, p: str = player) -> float:
            return gap(*(seeded_loss(m, p, each).total for each in (s, b)))

        yield "classes of uint8", error


def refused(build: Build) -> Iterator[Case]:
    """Inputs that are not data and are taken all the same, or refused by an accident."""
    for model in tiny(build):
        x, high = examples(model.description).x, model.description.high
        wrong = {"no examples": x[:0], "NaN": x.clone(), "infinity": x.clone()}
        wrong["NaN"].view(-1)[3] = torch.nan
        wrong["infinity"].view(-1)[-1] = torch.inf
        if model.description.levels:
            wrong["values outside the levels"] = x + 2 * high + 1
            wrong["a value beyond half a step"] = x.clone()
            wrong["a value beyond half a step"][-1] = high + 0.51 * model.description.spacing
        for name, use in _uses(model).items():
            for what, given in wrong.items():
                yield f"{name} of {what}", lambda u=use, g=given: _in_words(lambda: u(g))
        if class_ids(model) is None or "sample" not in model.can:
            continue
        ids: list[Any] = [torch.ones(N), torch.ones(N) == 1, True, 2**70, torch.full((N,), 1j)]
        for each in ids:
            kind = each.dtype if isinstance(each, Tensor) else repr(each)
            yield f"classes {kind}", lambda m=model, i=each: _in_words(lambda: _sampled(m, i))


_ROWS = [
    ("types", "data and ids of any type give what plain ones give", 1e-12, of_other_types),
    ("wider", "a model of float32 takes float64", 0.0, in_other_precision),
    ("bytes", "a loss by ids of any type is the plain one", 1e-12, of_a_batch),
    ("edges", "no examples, NaN, values and ids that are none are refused in words", 0.0, refused),
]


def edge_laws(name: str, build: Build) -> list[Law]:
    """The rows for one family."""
    model = build(TINY)
    reads, by_class = bool(_uses(model)), "condition" in model.can
    lacking = {
        in_other_precision: not reads,
        of_a_batch: not (by_class and model.players() and model.stages()[0].prepare is None),
        refused: not (reads or by_class),
        of_other_types: not (reads or "sample" in model.can),
    }
    return [
        law_of_cases(f"family/{name}/{what}", said, limit, partial(cases, build), "contract")
        for what, said, limit, cases in _ROWS
        if not lacking[cases]
    ]


LAWS = [law for name, method in FAMILIES.items() for law in edge_laws(name, method.build)]
