"""Co-occurrence counts of any corpus: sparse, in parallel over shards, spilled to disk when large.

What does not fit into memory is written to a folder in sorted runs; runs are merged range by
range of their keys. The counts are whole numbers, so spilling, shards and processes change no bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Int
from scipy.sparse import csr_array

from danlu.contracts.workers import workers
from danlu.embeddings.encoded import Encoded, encoded
from danlu.embeddings.text import Shard
from danlu.embeddings.vocabulary import Vocabulary
from danlu.embeddings.windows import require_window, summed_by_key, weighted_pairs
from danlu.files import patient_file, telling

Run = tuple[Int[np.ndarray, "..."], Int[np.ndarray, "..."]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Counting:
    """How pairs are counted.

    Attributes:
        window: reach of a context to either side.
        sample: threshold of subsampling; 0 keeps every word.
        seed: of the subsampling.
        entries: how many pairs are held in memory, 16 bytes each and as much again while sorting.
        folder: where more than that goes; without one everything stays in memory.
        processes: how many shards are read at once.
    """

    window: int = 5
    sample: float = 0.0
    seed: int = 0
    entries: int = 1 << 26
    folder: Path | None = None
    processes: int = 1


class PairCounter:
    """Collects pairs of one shard and writes sorted runs to a folder when they grow too many."""

    def __init__(self, size: int, options: Counting, *, name: str = "run") -> None:
        require_window(options.window)
        self.size, self.options, self.name = size, options, name
        self.runs: list[Run | Path] = []
        self._pending: list[Run] = []
        self._held = 0

    def add(self, text: Encoded) -> None:
        """Count the pairs of some lines."""
        run = weighted_pairs(text.ids, text.line, self.size, self.options.window)
        self._pending.append(run)
        self._held += len(run[0])
        if self._held > self.options.entries:
            self._compact()
            # Merging pays as long as it halves what is held; else it is time to write.
            if self.options.folder is not None and self._held > self.options.entries // 2:
                self._spill(self.options.folder)

    def finish(self) -> "list[Run | Path]":
        """All runs, the last of them in memory."""
        self._compact()
        self.runs += self._pending
        self._pending, self._held = [], 0
        return self.runs

    def _compact(self) -> None:
        if self._pending:
            self._pending = [merged(self._pending)]
            self._held = len(self._pending[0][0])

    def _spill(self, folder: Path) -> None:
        path = folder / f"{self.name}-{len(self.runs)}.npy"
        with telling(path), patient_file(path) as file:
            np.save(file, np.stack(self._pending[0]))
        self.runs.append(path)
        self._pending, self._held = [], 0


def merged(runs: Sequence[Run]) -> Run:
    """One sorted run out of several."""
    if len(runs) == 1:
        return runs[0]
    keys = np.concatenate([keys for keys, _ in runs])
    order = np.argsort(keys, kind="stable")
    return summed_by_key(keys[order], np.concatenate([weights for _, weights in runs])[order])


def count_pairs(shards: Sequence[Shard], vocabulary: Vocabulary, options: Counting) -> csr_array:
    """Co-occurrence counts `[vocab, vocab]` in units of 1 / window, as 64-bit whole numbers.

    With a folder that was needed, the matrix is mapped from files in it.
    """
    work = [(shard, vocabulary, options, f"run-{i}") for i, shard in enumerate(shards)]
    if options.processes > 1 and len(work) > 1:
        with workers(options.processes) as pool:
            found = list(pool.map(_runs_of, *zip(*work, strict=True)))
    else:
        counter = PairCounter(len(vocabulary), options)
        for shard in shards:
            _count(counter, shard, vocabulary)
        found = [counter.finish()]
    return _matrix([run for runs in found for run in runs], len(vocabulary), options)


def _runs_of(
    shard: Shard, vocabulary: Vocabulary, options: Counting, name: str
) -> "list[Run | Path]":
    counter = PairCounter(len(vocabulary), options, name=name)
    _count(counter, shard, vocabulary)
    return counter.finish()


def _count(counter: PairCounter, shard: Shard, vocabulary: Vocabulary) -> None:
    keep = vocabulary.keep_probability(counter.options.sample)
    for text in encoded(shard, vocabulary):
        counter.add(text.subsampled(keep, counter.options.seed))


def _matrix(found: "Sequence[Run | Path]", size: int, options: Counting) -> csr_array:
    """Merge runs range by range; with files among them the result goes to files as well."""
    spilled = any(isinstance(run, Path) for run in found)
    runs = [tuple(np.load(run, mmap_mode="r")) if isinstance(run, Path) else run for run in found]
    if not spilled:
        keys, weights = merged(runs)
        starts = np.searchsorted(keys, np.arange(size + 1) * size)
        return csr_array((weights, keys % size, starts), shape=(size, size))
    folder = options.folder
    assert folder is not None
    rows = np.zeros(size + 1, dtype=np.int64)
    paths = folder / "columns", folder / "weights"
    with telling(folder), patient_file(paths[0]) as columns, patient_file(paths[1]) as values:
        for low, high in _ranges(runs, options.entries):
            keys, weights = merged([_between(run, low, high) for run in runs])
            rows[1:] += np.bincount(keys // size, minlength=size)
            # 32 bits where scipy would use them: other indices would be copied into memory.
            columns.write((keys % size).astype(np.int32))
            values.write(weights)
    starts = np.cumsum(rows)
    indices = np.memmap(paths[0], dtype=np.int32, mode="r")
    return csr_array((np.memmap(paths[1], dtype=np.int64, mode="r"), indices, starts), (size, size))


def _between(run: Run, low: int, high: int) -> Run:
    first, last = np.searchsorted(run[0], [low, high])
    return np.asarray(run[0][first:last]), np.asarray(run[1][first:last])


def _ranges(runs: Sequence[Run], entries: int) -> list[tuple[int, int]]:
    """Ranges of keys with about `entries` entries each, by a sample of the keys."""
    stride = max(1, entries // 64)
    sample = np.sort(np.concatenate([keys[::stride] for keys, _ in runs]))
    cuts = [0, *np.unique(sample[64::64]).tolist(), 2**63 - 1]
    return [(a, b) for a, b in pairwise(cuts) if a < b]
