"""The kinds of things that examples are told, and how each is read from what a person gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, SupportsIndex

import torch
from torch import Tensor

from danlu.contracts.condition import Condition, class_ids
from danlu.contracts.errors import DanluError


def _rows(value: Tensor, axes: int, n: int, what: str) -> Tensor:
    """One value for each of n examples; a single one serves all."""
    value = value.expand(n, *value.shape) if value.ndim == axes else value
    if value.ndim != axes + 1 or len(value) != n:
        raise DanluError(f"Expected {n} {what}, got shape {tuple(value.shape)}.")
    return value


def _for_all(found: Condition, n: int) -> Condition:
    """The condition of n examples, of which a single one serves all."""
    if len(found) not in (1, n):
        raise DanluError(f"Expected the condition of {n} examples, got that of {len(found)}.")
    return found if len(found) == n else found[torch.zeros(n, dtype=torch.long)]


def _numbers(given: Any, shape: tuple[int, ...], n: int, what: str) -> Condition:
    """Finite numbers of a shape for each of n examples."""
    try:
        value = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        raise DanluError(f"Expected {what} of shape {shape}, got {given!r:.60}.") from None
    if value.is_complex() or value.dtype == torch.bool:
        raise DanluError(f"Expected {what} of numbers, got {value.dtype}.")
    value = _rows(value.to(torch.get_default_dtype()), len(shape), n, what)
    if tuple(value.shape[1:]) != shape:
        raise DanluError(f"Expected {what} of shape {shape}, got {tuple(value.shape[1:])}.")
    if not bool(value.isfinite().all()):
        raise DanluError(f"Expected {what} of finite numbers; some are NaN or infinite.")
    return Condition(value)


def _positive(what: str, *sizes: int) -> None:
    if not sizes or min(sizes) < 1:
        raise DanluError(f"{what} must be positive, got {', '.join(map(str, sizes)) or 'none'}.")


@dataclass(frozen=True, slots=True)
class Classes:
    """One of so many classes."""

    name: ClassVar[str] = "class"
    classes: int

    def __post_init__(self) -> None:
        _positive("classes", self.classes)

    def read(self, given: Any, n: int) -> Condition:
        """Class ids, or one for all.

        Raises:
            DanluError: they are no ids of these classes, or not so many.
        """
        ids = class_ids(given)
        ids = ids.expand(n) if ids.ndim == 0 else ids
        if ids.shape != (n,):
            raise DanluError(f"Expected {n} class ids, got shape {tuple(ids.shape)}.")
        if n and not (int(ids.min()) >= 0 and int(ids.max()) < self.classes):
            raise DanluError(f"Class ids go from 0 to {self.classes - 1}, got {ids.tolist()[:8]}.")
        return Condition(ids)


@dataclass(frozen=True, slots=True)
class Vector:
    """So many numbers, which should be of about the size of 1."""

    name: ClassVar[str] = "vector"
    features: int

    def __post_init__(self) -> None:
        _positive("features", self.features)

    def read(self, given: Any, n: int) -> Condition:
        """Vectors, or one for all.

        Raises:
            DanluError: they are no finite numbers of this size, or not so many.
        """
        return _numbers(given, (self.features,), n, "vectors")


@dataclass(frozen=True, slots=True)
class Tokens:
    """A row of ids, such as the bytes of a text: at most `length` of them, each below a number.

    Texts are their UTF-8 bytes, where the vocabulary has room for bytes.
    """

    name: ClassVar[str] = "tokens"
    length: int
    vocabulary: int = 256

    def __post_init__(self) -> None:
        _positive("length and vocabulary", self.length, self.vocabulary)

    def read(self, given: Any, n: int) -> Condition:
        """Texts or rows of ids, or one for all.

        Raises:
            DanluError: they are neither, are too long, or not so many.
        """
        if isinstance(given, str | bytes):
            given = [given]
        if isinstance(given, Sequence) and given and isinstance(given[0], str | bytes):
            found = self.of_texts(given)
            return _for_all(found, n)
        ids = _rows(class_ids(given), 1, n, "rows of tokens")
        if ids.shape[1] > self.length:
            raise DanluError(f"At most {self.length} tokens are read, got {ids.shape[1]}.")
        if ids.numel() and not (int(ids.min()) >= 0 and int(ids.max()) < self.vocabulary):
            raise DanluError(f"Tokens go from 0 to {self.vocabulary - 1}.")
        return Condition(ids)

    def of_texts(self, texts: "Sequence[str | bytes]") -> Condition:
        """The bytes of texts, each cut off at the length.

        Raises:
            DanluError: the vocabulary is not that of bytes.
        """
        if self.vocabulary < 256:
            raise DanluError(
                f"Texts are read as bytes, and these {self.vocabulary} tokens are none: give ids."
            )
        ids = torch.zeros(len(texts), self.length, dtype=torch.long)
        valid = torch.zeros(len(texts), self.length, dtype=torch.bool)
        for row, text in enumerate(texts):
            read = text.encode() if isinstance(text, str) else text
            read = list(read[: self.length])
            ids[row, : len(read)], valid[row, : len(read)] = torch.tensor(read).long(), True
        return Condition(ids, valid)


@dataclass(frozen=True, slots=True)
class Image:
    """An image, `(channels, height, width)`."""

    name: ClassVar[str] = "image"
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        _positive("shape", *self.shape)

    def read(self, given: Any, n: int) -> Condition:
        """Images, or one for all.

        Raises:
            DanluError: they are no finite numbers of this shape, or not so many.
        """
        return _numbers(given, self.shape, n, "images")


Asked = Condition | Tensor | SupportsIndex | str | bytes | Sequence[Any] | None
"""What a person gives as a condition: a class or ids, numbers, texts; None asks for none."""
One = Classes | Vector | Tokens | Image
Kind = One | tuple[One, ...]
"""What examples are told: one thing, or one of each of several kinds."""


def kinds_of(kind: Kind | None) -> tuple[One, ...]:
    """The kinds that make up a kind; empty where nothing is told."""
    return () if kind is None else kind if isinstance(kind, tuple) else (kind,)


def anything(kind: Kind, n: int) -> Condition:
    """Some condition of a kind for n examples, such as to try a network out."""
    if isinstance(kind, tuple):
        return Condition(tuple(anything(one, n) for one in kind))
    if isinstance(kind, Classes):
        return Condition(torch.arange(n) % kind.classes)
    if isinstance(kind, Tokens):
        ids = torch.arange(n * kind.length).view(n, -1) % kind.vocabulary
        return Condition(ids, torch.ones_like(ids, dtype=torch.bool))
    shape = (kind.features,) if isinstance(kind, Vector) else kind.shape
    return Condition(torch.linspace(0, 1, n).view(n, *[1] * len(shape)).expand(n, *shape).clone())


def name_of(kind: Kind | None) -> str:
    """What examples are told, in words."""
    return " and ".join(each.name for each in kinds_of(kind)) or "none"


def read_condition(kind: Kind, given: Any, n: int) -> Condition:
    """What is asked for as the condition of n examples.

    Raises:
        DanluError: it does not fit the kind or the number.
    """
    if isinstance(given, Condition):
        return _checked(kind, _for_all(given, n))
    if not isinstance(kind, tuple):
        return kind.read(given, n)
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != len(kind):
        raise DanluError(f"Expected a tuple of {len(kind)} conditions: {name_of(kind)}.")
    parts = zip(kind, given, strict=True)
    return Condition(tuple(read_condition(one, part, n) for one, part in parts))


def _checked(kind: Kind, found: Condition) -> Condition:
    """A condition whose values are read anew, with what it says of them."""
    n = len(found)
    if isinstance(kind, tuple) != isinstance(found.values, tuple):
        raise DanluError(f"Expected a condition of the kind {name_of(kind)}.")
    values = read_condition(kind, found.values, n).values
    if isinstance(values, Tensor) and values.is_floating_point():
        values = found.values
    for mask in (found.valid, found.given):
        if mask is not None and len(mask) != n:
            raise DanluError("A condition's masks must have a row for each example.")
    return Condition(values, found.valid, found.given)
