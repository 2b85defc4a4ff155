"""What a data set was when a run learned from it, so that another one is noticed later."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from danlu.data.source import Examples, Source


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitFacts:
    """A split: its number of examples, and a digest of every value and class id."""

    examples: int
    digest: str


def fingerprint(source: Source) -> dict[str, SplitFacts]:
    """Split -> what it holds."""
    splits = {
        "training": source.training,
        "validation": source.validation,
        "test": source.test,
    }
    return {name: _facts(examples) for name, examples in splits.items()}


def differences(recorded: Mapping[str, SplitFacts], source: Source) -> list[str]:
    """What a data set holds in place of what was recorded, a line for each split."""
    return [
        f"The {name} split of {source.name} has {_words(recorded[name], now)}."
        for name, now in fingerprint(source).items()
        if name in recorded and recorded[name] != now
    ]


def _words(before: SplitFacts, now: SplitFacts) -> str:
    if now.examples != before.examples:
        return f"{now.examples:,} examples and had {before.examples:,} when the run was made"
    return f"{now.examples:,} examples as before, but not the same ones as when the run was made"


def _facts(examples: Examples) -> SplitFacts:
    digest = hashlib.blake2b(digest_size=16)
    for tensor in examples.content():
        digest.update(repr((tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return SplitFacts(examples=len(examples), digest=digest.hexdigest())
