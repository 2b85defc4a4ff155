"""What a person asks a trained model for: a class by name, a text, or conditions in a file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from danlu.contracts import (
    Asked,
    Classes,
    Condition,
    DanluError,
    DataDescription,
    One,
    Tokens,
    Told,
    anything,
    kinds_of,
    name_of,
    read_condition,
    unknown,
)
from danlu.data import Source
from danlu.reading.texts import read_text

ARRAY, LINES = (".npz", ".npy"), (".txt",)
"""Files of conditions: arrays with a row each, and texts with a line each."""


def asked_for(
    description: DataDescription,
    class_names: tuple[str, ...],
    n: int,
    *,
    class_name: str | None = None,
    prompt: str | None = None,
    file: str | Path | None = None,
) -> Told:
    """What n samples are told; None where nothing was asked for.

    Of several kinds, those that were not asked for are left out. Rows of a file come in turn.

    Raises:
        DanluError: the model is told nothing of that kind, or the value does not fit.
    """
    kinds, given = kinds_of(description.condition), {}
    if class_name is not None:
        given["class"] = class_id(class_name, description, class_names)
    if prompt is not None:
        given["tokens"] = prompt
    if file is not None:
        given |= _of_file(Path(file), kinds)
    for name in given.keys() - {kind.name for kind in kinds}:
        raise DanluError(
            f"This model is told no {name}: its condition is {name_of(description.condition)}."
        )
    if not given:
        return None
    parts = tuple(_rows(kind, given.get(kind.name), n) for kind in kinds)
    return Condition(parts) if isinstance(description.condition, tuple) else parts[0]


def only_told(source: Source, split: str, told: Told) -> Source:
    """The same data with those held-out examples alone that are told this.

    Raises:
        DanluError: none is.
    """
    held_out = getattr(source, split)
    if told is None or held_out.condition is None:
        return source
    chosen = _same(held_out.condition, told[:1]).nonzero()[:, 0]
    if not len(chosen):
        raise DanluError(f"No example of the {split} split is told that: sample it instead.")
    return replace(source, **{split: held_out.kept(chosen)})


def _same(held_out: Condition, told: Condition) -> Bool[Tensor, " m"]:
    """Which examples are told the same; what is left out is the same as anything."""
    if isinstance(told.values, tuple):
        assert isinstance(held_out.values, tuple)
        pairs = zip(held_out.values, told.values, strict=True)
        return torch.stack([_same(one, other) for one, other in pairs]).all(0)
    if not told.present.all():
        return torch.ones(len(held_out), dtype=torch.bool)
    assert isinstance(held_out.values, Tensor)
    same = (held_out.values == told.values).view(len(held_out), -1).all(1)
    if held_out.valid is None or told.valid is None:
        return same
    return same & (held_out.valid == told.valid).all(1)


def class_id(text: str, description: DataDescription, names: tuple[str, ...]) -> int:
    """A class by its name, or by its id where no name is a number.

    Raises:
        DanluError: there is no such class.
    """
    if text in names:
        return names.index(text)
    kinds = [kind for kind in kinds_of(description.condition) if isinstance(kind, Classes)]
    ids = {str(number): number for kind in kinds for number in range(kind.classes)}
    if text in ids and not any(name.isdecimal() for name in names):
        return ids[text]
    raise unknown("class", text, names or ids or ("none: the data has no classes",))


def _rows(kind: One, given: Asked, n: int) -> Condition:
    """The condition of n samples; nothing is told without a value."""
    if given is None:
        return anything(kind, n).only(torch.zeros(n, dtype=torch.bool))
    if not isinstance(given, (list, np.ndarray)):
        return read_condition(kind, given, n)
    rows = torch.as_tensor(given) if isinstance(given, np.ndarray) else given
    return read_condition(kind, rows, len(rows))[torch.arange(n) % len(rows)]


def _of_file(path: Path, kinds: tuple[One, ...]) -> dict[str, Any]:
    """The values in a file by the kind that they are of."""
    if path.suffix not in (*ARRAY, *LINES):
        raise DanluError(f"--condition takes {', '.join((*ARRAY, *LINES))}, got {path}.")
    if path.suffix in LINES:
        lines = [line for line in read_text(path).splitlines() if line]
        if not lines:
            raise DanluError(f"{path} has no line of text.")
        return {Tokens.name: lines}
    try:
        found = np.load(path, allow_pickle=False)
        arrays = {name: found[name] for name in found} if path.suffix == ".npz" else {"": found}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise DanluError(f"{path} cannot be read as arrays ({type(error).__name__}).") from None
    names = [kind.name for kind in kinds]
    if len(arrays) == 1 and len(names) == 1:
        arrays = {names[0]: next(iter(arrays.values()))}
    arrays = {name: array for name, array in arrays.items() if name in names}
    if not arrays or any(array.ndim == 0 or not len(array) for array in arrays.values()):
        raise DanluError(
            f"{path} holds no rows of conditions: one array, or one by each name: "
            f"{', '.join(names) or 'but this model is told nothing'}."
        )
    return arrays
