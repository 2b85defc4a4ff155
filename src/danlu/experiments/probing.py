"""What things cost on this machine, from a few tries."""

from time import perf_counter
from typing import Any

import torch

from danlu.data import Source
from danlu.evaluation.features.classifier import seconds_needed
from danlu.experiments.drawing import classes_like, draw
from danlu.experiments.measuring import Yard
from danlu.experiments.planning import Speed
from danlu.generative.base import GenerativeModel
from danlu.training import Policy

SAMPLES, EXAMPLES = 40, 4


def features_seconds(source: Source) -> float:
    """Seconds that the feature networks of a data set will take."""
    labelled = source.training.condition is not None and source.description.classes > 1
    return 1.0 + (seconds_needed(source) if source.description.is_image and labelled else 0.0)


def speed_of(model: GenerativeModel, options: Any, yard: Yard, policy: Policy) -> Speed:
    """The costs of a family, from its untrained model."""
    return Speed(
        sample=_sample_seconds(model, options, yard, policy),
        evidence=_evidence_seconds(model, options, yard, policy),
    )


def _sample_seconds(model: GenerativeModel, options: Any, yard: Yard, policy: Policy) -> float:
    if "sample" not in model.can:
        return 0.0
    classes = classes_like(model, yard.reference.condition, SAMPLES)
    seconds = [
        draw(model, classes, SAMPLES, options=options, seed=0, policy=policy).seconds
        for _ in range(2)
    ]
    return min(seconds) / SAMPLES  # the first call also warms up


def _evidence_seconds(model: GenerativeModel, options: Any, yard: Yard, policy: Policy) -> float:
    if "log_prob" not in model.can:
        return 0.0
    reference = yard.reference
    ids = None if reference.condition is None else reference.condition[:EXAMPLES]
    began = perf_counter()
    with policy.applied_threads(), torch.no_grad():
        model.log_prob(
            reference.x[:EXAMPLES].to(model.device),
            condition=ids if "condition" in model.can else None,
            options=options,
        )
    return (perf_counter() - began) / EXAMPLES
