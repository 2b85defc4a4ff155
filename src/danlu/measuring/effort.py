"""The quality of samples against what they cost: one trained model at several efforts.

A family whose options have `evaluations` is drawn from with 1/8, 1/4, 1/2, 1 and 2 times its usual
number; any other family has one point. The figures are the cheap ones of the curves, against the
validation split.
"""

from collections.abc import Iterator
from time import perf_counter
from typing import Any

from danlu.contracts import DanluError, NonFiniteError
from danlu.generative.base import GenerativeModel
from danlu.measuring.figures import Subject
from danlu.runs.drawing import draw, told_in_turn
from danlu.runs.hooks import Measure
from danlu.runs.options import changed, flat, place

FIELD = "evaluations"
EFFORTS = (0.125, 0.25, 0.5, 1.0, 2.0)

Curves = dict[str, list[tuple[float, float]]]


def by_evaluations(
    subject: Subject, measure: Measure, n: int, *, seed: int, seconds: float
) -> Curves:
    """Key -> (network evaluations for a sample, figure), from few to many evaluations.

    Args:
        subject: a trained model.
        measure: the figures.
        n: samples behind each point.
        seed: of the samples.
        seconds: before which the last point must be begun and, as far as can be told, ended.
    """
    curves: Curves = {}
    began, last = perf_counter(), (0.0, 1)
    for evaluations, options in sorted(_options(subject), key=lambda pair: pair[0]):
        expected = last[0] * evaluations / last[1]
        if perf_counter() - began + expected > seconds:
            break
        start = perf_counter()
        classes = told_in_turn(subject.model, n)
        drawn = draw(subject.model, classes, n, options=options, seed=seed, policy=subject.policy)
        try:
            figures = measure(drawn)
        except NonFiniteError:
            continue
        for key, figure in figures.items():
            curves.setdefault(key, []).append((float(evaluations), figure))
        last = perf_counter() - start, evaluations
    return curves


def _options(subject: Subject) -> Iterator[tuple[int, Any]]:
    """Network evaluations of a sample and the options that take as many, each number once."""
    model, options = subject.model, subject.options
    usual = model.sampling_evaluations(options)
    known = {usual}
    yield usual, options
    values = flat(options)
    name = place(FIELD, values)
    steps: int = values.get(name) or 0
    for effort in EFFORTS if steps else ():
        other = changed(options, {name: max(1, round(effort * steps))})
        taken = _evaluations(model, other)
        if taken not in known | {0}:
            known.add(taken)
            yield taken, other


def _evaluations(model: GenerativeModel, options: Any) -> int:
    """What a sample takes; 0 where the options do not work."""
    try:
        return model.sampling_evaluations(options)
    except DanluError:
        return 0
