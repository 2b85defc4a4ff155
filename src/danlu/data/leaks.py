"""No image is learned and held out at once: equal ones are kept on the side of the later split.

Copies are known by a hash of their pixels, whatever their names. Those of the test split leave
training and validation, those of validation leave training. Where that would take half of a split
or more, repetition is what the data is like, and it is only said; and so it is with vectors, whose
repeated rows are frequent values and no copies.
"""

from dataclasses import replace
from hashlib import blake2b

import numpy as np
import torch

from danlu.data.source import Examples, Source

DIGEST = 16
MOST = 0.5
"""Share of a split that is never taken away."""


def without_leaks(source: Source) -> Source:
    """The source without copies of held-out examples in other splits, and a notice of them."""
    held, chosen = _digests(source.test), _digests(source.validation)
    validation = _apart(chosen, held)
    training = _apart(_digests(source.training), np.concatenate([held, chosen]))
    copies = [len(split) - len(rows) for split, rows in
              ((source.training, training), (source.validation, validation))]  # fmt: skip
    if not any(copies):
        return source
    what = f"{copies[0]:,} training and {copies[1]:,} validation examples are also held out"
    shares = (len(training) / len(source.training), len(validation) / len(source.validation))
    if not source.description.is_image or min(shares) <= MOST:
        line = f"{what}: this data repeats itself, and figures of held-out data reward copying."
        return replace(source, notices=(*source.notices, line))
    line = f"{what}; they are left out there, so that no figure rewards copying."
    return replace(
        source,
        training=source.training.kept(training),
        validation=source.validation.kept(validation),
        notices=(*source.notices, line),
    )


def _apart(digests: np.ndarray, others: np.ndarray) -> torch.Tensor:
    """Places of the examples that are not among the others."""
    return torch.from_numpy(np.flatnonzero(~np.isin(digests, others)))


def _digests(examples: Examples) -> np.ndarray:
    rows = (row for block in examples.blocks() for row in block.contiguous().numpy())
    found = (blake2b(row.tobytes(), digest_size=DIGEST).digest() for row in rows)
    return np.fromiter(found, f"S{DIGEST}", len(examples))
