"""The one place where bytes become text: UTF-8, or what a byte order mark says; else refused.

A wrong guess of an encoding would train on garbage without a word, so it is only told, by
charset-normalizer, beside the first byte that is no UTF-8.
"""

import codecs
from io import StringIO
from pathlib import Path

from danlu.contracts import DanluError
from danlu.reading.paths import read_bytes

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""What a file may begin with, and how it then reads."""
LONGEST_MARK = 4
COPIES = 6
"""Bytes of memory for a byte of a file: itself, and up to four for a character of its text."""
LOOKED_AT = 1 << 15
"""So many bytes on either side of a fault are behind a guess."""


def encoding_of(start: bytes) -> str:
    """The encoding by the first bytes of a file."""
    return next((name for mark, name in MARKS.items() if start.startswith(mark)), "utf-8")


def decoded(raw: bytes, name: object, *, start: int = 0, encoding: str | None = None) -> str:
    """The text of bytes, unchanged but for a byte order mark.

    Args:
        raw: the bytes.
        name: of their file, for the message.
        start: offset of the first of them in it.
        encoding: how they read; None looks at their mark.

    Raises:
        DanluError: they are no text in that encoding; names the offset and what it may be.
    """
    encoding = encoding_of(raw) if encoding is None else encoding
    place = raw.find(b"\0") if encoding.startswith("utf-8") else -1
    try:
        if place < 0:
            return raw.decode(encoding)
    except UnicodeDecodeError as error:
        place = error.start
    what = "UTF-8" if encoding.startswith("utf-8") else encoding.upper()
    raise DanluError(f"{name} is no {what} text (byte {start + place}): {_advice(raw, place)}")


def _advice(raw: bytes, place: int) -> str:
    from charset_normalizer import from_bytes  # only where something is wrong

    if raw[place : place + 1] == b"\0":
        return "it holds binary data"
    best = from_bytes(raw[max(0, place - LOOKED_AT) : place + LOOKED_AT]).best()
    if best is None:
        return "it holds binary data, or an unknown encoding"
    return f"it may be {best.encoding}; convert it, for example `iconv -f {best.encoding} -t utf-8`"


def read_text(path: Path) -> str:
    """The text of a file, gzipped or plain.

    Raises:
        DanluError: it is no file, no text, or does not fit into the memory.
    """
    return decoded(read_bytes(path, copies=COPIES), path)


def lines_of(text: str) -> list[str]:
    """Lines as editors count them.

    `str.splitlines` also cuts at form feeds, U+0085, U+2028 and others, which stand inside lines.
    """
    return StringIO(text, newline=None).read().split("\n")
