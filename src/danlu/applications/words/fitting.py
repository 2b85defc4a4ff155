"""Files in, word vectors out."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from danlu.contracts import DanluError, unknown
from danlu.contracts.workers import workers
from danlu.embeddings import WORD_VECTORS, Counting, Vocabulary, WordMethod, WordVectors
from danlu.embeddings.text import file_shards, files_below, without_spaces, words_in
from danlu.runs.settings import fields_of, parse

BYTES_OF_ENTRY = 48
"""Memory of a counted pair, with its copies while runs are merged."""
LEAST_ENTRIES = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class FitRequest:
    """What to fit on which files.

    Attributes:
        files: text files, or folders of them.
        method: a name in `WORD_VECTORS`.
        settings: texts for the method's fields.
        reader: how lines become words, a name in `READERS`.
        min_count: rarer words are left out.
        processes: how many files or parts of files are counted at once.
        memory: bytes for the counts of one process; more goes to temporary files.
    """

    files: tuple[str, ...]
    method: str = "svd-ppmi"
    settings: Mapping[str, str] = field(default_factory=dict)
    reader: str = "words"
    min_count: int = 5
    processes: int = 1
    memory: int = 2 << 30


def fit(request: FitRequest, report: Callable[[str], None] = lambda line: None) -> WordVectors:
    """Count the words, then fit the method.

    Raises:
        DanluError: an empty corpus, an unknown method or setting.
    """
    method = method_with(request.method, request.settings)
    shards = file_shards(
        files_below(request.files), reader=request.reader, shards=request.processes
    )
    vocabulary = Vocabulary.of(_counted(shards, request.processes), min_count=request.min_count)
    report(f"{vocabulary.counts.sum():,} words of {len(vocabulary):,} kinds")
    if unspaced := [word for word in vocabulary.words if without_spaces(word)]:
        report(
            f"{len(unspaced):,} of them are clauses of a script that has no spaces, such as "
            f"{unspaced[0]!r}: --reader segmented (Chinese) or characters cuts them."
        )
    with TemporaryDirectory(prefix="danlu-words-") as name:
        return _with_room(method, request, Path(name)).fit(shards, vocabulary)


def method_with(name: str, settings: Mapping[str, str]) -> WordMethod:
    """A method by its name, with some of its numbers set from texts.

    Raises:
        DanluError: unknown method or setting.
    """
    if name not in WORD_VECTORS:
        raise unknown("method of word vectors", name, WORD_VECTORS)
    method = WORD_VECTORS[name].build()
    known = _numbers(method)
    for key, text in settings.items():
        if key not in known:
            raise unknown(f"setting of {name}", key, known)
        part, kind = known[key]
        value = parse(text, kind, key)
        if part:
            method = replace(method, **{part: replace(getattr(method, part), **{key: value})})
        else:
            method = replace(method, **{key: value})
    return method


def _numbers(method: Any) -> dict[str, tuple[str, type]]:
    """Every number that can be set -> the part of the method that has it, and its type."""
    found: dict[str, tuple[str, type]] = {}
    for name, kind in fields_of(type(method)).items():
        if is_dataclass(kind) and isinstance(kind, type):
            inner = fields_of(kind).items()
            found |= {key: (name, each) for key, each in inner if each in (int, float)}
        elif kind in (int, float):
            found[name] = ("", kind)
    for key in ("entries", "processes"):  # they follow from the memory and processes asked for
        found.pop(key, None)
    return found


def _with_room(method: Any, request: FitRequest, folder: Path) -> WordMethod:
    """Methods that count are told where to spill, and how many processes there are."""
    counting = getattr(method, "counting", None)
    if not isinstance(counting, Counting):
        return method
    entries = max(LEAST_ENTRIES, request.memory // BYTES_OF_ENTRY)
    counting = replace(counting, entries=entries, folder=folder, processes=request.processes)
    return replace(method, counting=counting)


def _counted(shards: list[Any], processes: int) -> Counter[str]:
    total: Counter[str] = Counter()
    if processes < 1:
        raise DanluError(f"At least one process must count, got {processes}.")
    if processes == 1:
        for shard in shards:
            total.update(words_in(shard))
        return total
    with workers(processes) as pool:
        for counted in pool.map(words_in, shards):
            total.update(counted)
    return total
