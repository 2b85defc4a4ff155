"""What a path is, how much it will take, and text with its encoding: asked before it is read."""

from danlu.reading.paths import (
    Found,
    found_below,
    is_packed,
    open_bytes,
    read_bytes,
    require_file,
)
from danlu.reading.room import available_memory, require_memory
from danlu.reading.texts import decoded, lines_of, read_text

__all__ = [
    "Found",
    "available_memory",
    "decoded",
    "found_below",
    "is_packed",
    "lines_of",
    "open_bytes",
    "read_bytes",
    "read_text",
    "require_file",
    "require_memory",
]
