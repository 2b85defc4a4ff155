"""Text as ids of characters or bytes, in windows of one length."""

from danlu.data.text.reading import READERS, read_texts
from danlu.data.text.source import UNITS, Windows, text_source
from danlu.data.text.tokens import Bytes, Characters, Tokens, tokens_of

__all__ = [
    "READERS",
    "UNITS",
    "Bytes",
    "Characters",
    "Tokens",
    "Windows",
    "read_texts",
    "text_source",
    "tokens_of",
]
