"""Text to ids and back: a character is an id, or a byte of its UTF-8 form is."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from typing_extensions import override

from danlu.contracts import DanluError, DataDescription

BYTES = 256
SHOWN = 8
"""So many unknown characters are named."""


class Tokens(ABC):
    """How a text is cut into tokens.

    Attributes:
        size: number of different tokens.
        alphabet: what a `DataDescription` says of them.
    """

    size: int
    alphabet: str

    @abstractmethod
    def encode(self, text: str) -> Int[Tensor, " length"]:
        """The ids of a text.

        Raises:
            DanluError: a character has no id.
        """

    @abstractmethod
    def decode(self, ids: Int[Tensor, " length"]) -> str:
        """The text of ids."""


class Characters(Tokens):
    """An id for each character of an alphabet, in its order."""

    def __init__(self, alphabet: str) -> None:
        self.alphabet = alphabet
        self.size = len(alphabet)
        self._codes = _code_points(alphabet)
        if not (np.diff(self._codes.astype(np.int64)) > 0).all():
            raise DanluError("An alphabet has each character once, in the order of Unicode.")

    @classmethod
    def of(cls, text: str) -> "Characters":
        """The alphabet of a text."""
        return cls("".join(map(chr, np.unique(_code_points(text)).tolist())))

    @override
    def encode(self, text: str) -> Int[Tensor, " length"]:
        codes = _code_points(text)
        ids = np.searchsorted(self._codes, codes).clip(max=self.size - 1)
        unknown = codes[self._codes[ids] != codes]
        if len(unknown):
            names = [chr(code) for code in np.unique(unknown)[:SHOWN].tolist()]
            raise DanluError(
                f"The text that was learned has no {', '.join(map(repr, names))}; leave such "
                "characters out."
            )
        return torch.from_numpy(ids.astype(np.int64))

    @override
    def decode(self, ids: Int[Tensor, " length"]) -> str:
        return "".join(self.alphabet[index] for index in ids.tolist())


class Bytes(Tokens):
    """The bytes of the UTF-8 form, so that no character is unknown."""

    size = BYTES
    alphabet = ""

    @override
    def encode(self, text: str) -> Int[Tensor, " length"]:
        raw = text.encode("utf-8", errors="surrogateescape")
        return torch.from_numpy(np.frombuffer(raw, dtype=np.uint8).astype(np.int64))

    @override
    def decode(self, ids: Int[Tensor, " length"]) -> str:
        """The text; bytes that are no character become the replacement character."""
        return bytes(ids.tolist()).decode("utf-8", errors="replace")


def tokens_of(description: DataDescription) -> Tokens:
    """The tokens behind the ids of described text.

    Raises:
        DanluError: it is no text.
    """
    if description.alphabet is None:
        raise DanluError("This model was trained on data that is no text.")
    return Characters(description.alphabet) if description.alphabet else Bytes()


def _code_points(text: str) -> np.ndarray:
    try:
        return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    except UnicodeEncodeError:
        raise DanluError("The text holds half of a character; read it as UTF-8.") from None
