"""What things cost on this machine, from a few tries."""

from typing import Any

from danlu.data import Source
from danlu.evaluation.features.classifier import seconds_needed
from danlu.generative.base import GenerativeModel
from danlu.runs.drawing import draw, told_in_turn
from danlu.training import Policy

SAMPLES = 40


def features_seconds(source: Source) -> float:
    """Seconds that the feature networks of a data set will take."""
    labelled = source.training.ids is not None and source.description.classes > 1
    return 1.0 + (seconds_needed(source) if source.description.is_image and labelled else 0.0)


def sample_seconds(model: GenerativeModel, options: Any, policy: Policy) -> float:
    """Seconds for one sample; an untrained model costs what a trained one does."""
    classes = told_in_turn(model, SAMPLES)
    tries = [draw(model, classes, SAMPLES, options=options, seed=0, policy=policy) for _ in "12"]
    return min(drawn.seconds for drawn in tries) / SAMPLES  # the first one also warms up
