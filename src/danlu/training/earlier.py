"""What earlier versions wrote in another way, as this one reads it: the one place that knows."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from danlu.contracts import DataDescription

STAGED = {"draws", "estimator", "output", "solver", "grid", "temperature", "top_k", "top_p"}
"""Options that stood together when those of a two-stage model did not nest by its parts."""
PAIRS = {"reflow": "noise", "distil": "noise"}
"""Stages that prepared pairs, and what the second half is called."""


def renamed(raw: Any) -> Any:
    """Plain data of an earlier format with the keys of this one.

    Up to format 2 a description had the number of classes, which are now one kind of condition, and
    did not say its kind: three axes were images, what had an alphabet was text, all else vectors.
    """
    if isinstance(raw, list):
        return [renamed(each) for each in raw]
    if not isinstance(raw, dict):
        return raw
    found = {key: renamed(value) for key, value in raw.items()}
    if {"shape", "levels", "classes"} <= found.keys():
        classes = found.pop("classes")
        found.setdefault("condition", {"classes": classes} if classes else None)
        text, image = found.get("alphabet") is not None, len(found["shape"]) == 3
        found.setdefault("kind", "text" if text else "image" if image else "vector")
    if found.keys() >= STAGED:
        return nested(found)
    return found


def nested(options: dict[str, Any]) -> dict[str, Any]:
    """Options of a two-stage model by its parts; those of the prior were None where not given."""
    first = {name: options[name] for name in ("draws", "estimator", "output")}
    given = {name: value for name, value in options.items() if value is not None}
    return {"first": first, "prior": {n: v for n, v in given.items() if n not in first}}


def parted(
    x: Tensor, description: DataDescription, stage: str
) -> tuple[Tensor, DataDescription, dict[str, Tensor]]:
    """What a stage prepared before such files had a format, with the second half of its pairs.

    It stood behind the first half, on the same axis.
    """
    second = PAIRS.get(stage)
    if second is None:
        return x, description, {}
    one, other = x.chunk(2, dim=1)
    shape = (description.shape[0] // 2, *description.shape[1:])
    return one, replace(description, shape=shape), {second: other}
