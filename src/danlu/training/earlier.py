"""What earlier versions wrote in another way, as this one reads it: the one place that knows."""

from typing import Any


def renamed(raw: Any) -> Any:
    """Plain data of an earlier format with the keys of this one.

    Up to format 2 a description had the number of classes, which are now one kind of condition.
    """
    if isinstance(raw, list):
        return [renamed(each) for each in raw]
    if not isinstance(raw, dict):
        return raw
    found = {key: renamed(value) for key, value in raw.items()}
    if {"shape", "levels", "classes"} <= found.keys():
        classes = found.pop("classes")
        found.setdefault("condition", {"classes": classes} if classes else None)
    return found
