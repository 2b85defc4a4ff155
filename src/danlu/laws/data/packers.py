"""Laws of packers: against definitions written out, enumeration of all packings, and resuming."""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch

from danlu.data.packing import PACKERS
from danlu.data.packing.packer import Packer, fewest_packs, fill_of, size
from danlu.data.packing.window import WindowBestFit
from danlu.laws.draws import generator
from danlu.laws.gaps import largest
from danlu.laws.law import Case, Law, Rows, law_of_cases, table

CAPACITY = 16
LEAST_FILL = 0.99

BOUNDS: dict[str, Callable[[int, int], float]] = {
    "window-best-fit": lambda best, fewest: 2 * best,
    "next-fit": lambda best, fewest: 2 * best,
    "first-fit": lambda best, fewest: math.floor(1.7 * best),
    "best-fit-decreasing": lambda best, fewest: (11 * best + 6) / 9,
    "wrapped": lambda best, fewest: fewest,
}
"""Most packs, given the best number of packs of whole documents and the bound by tokens."""


def lengths_of(seed: int, count: int, longest: int = CAPACITY) -> list[int]:
    """Seeded lengths, some of them 0."""
    source = generator(seed)
    return torch.randint(0, longest + 1, (count,), generator=source).tolist()


def lognormal(
    source: torch.Generator,
    count: int,
    mean: float = 5.0,
    sigma: float = 0.9,
    longest: int = 2048,
) -> list[int]:
    """Lengths of documents as they are in practice; 223 tokens in the mean."""
    drawn = torch.empty(count).log_normal_(mean, sigma, generator=source)
    return drawn.long().clamp(1, longest).tolist()


def _sets() -> Iterator[tuple[str, list[int]]]:
    for seed in range(12):
        count = (0, 1, 2, 5, 7)[seed % 5]
        yield f"lengths {lengths_of(seed, count)}", lengths_of(seed, count)
    yield "40 lengths", lengths_of(1, 40)
    yield "60 short lengths", lengths_of(2, 60, 5)


def _complete(build: Callable[[], Packer]) -> Iterable[Case]:
    """Tokens that are missing, twice, or too many for a pack."""
    for name, lengths in _sets():

        def error(lengths: list[int] = lengths) -> float:
            packs = list(build().packs(lengths))
            over = sum(size(pack) > CAPACITY for pack in packs)
            found: dict[int, list[int]] = {document: [] for document in range(len(lengths))}
            seen = set()
            for pack in packs:
                for document, start, stop in pack:
                    seen.add(document)
                    found[document] += range(start, stop)
            wrong = sum(found[d] != list(range(length)) for d, length in enumerate(lengths))
            return float(over + wrong + len(set(range(len(lengths))) - seen))

        yield name, error


def _bounded(name: str, build: Callable[[], Packer]) -> Iterable[Case]:
    """Packs beyond the bound, where the best number is found by trying all packings."""
    for seed in range(20):
        lengths = [max(each, 1) for each in lengths_of(seed, 7, CAPACITY if seed % 2 else 9)]

        def error(lengths: list[int] = lengths) -> float:
            packs = list(build().packs(lengths))
            fewest, best = fewest_packs(lengths, CAPACITY), best_number(lengths, CAPACITY)
            below = 0 if build().cuts else best - len(packs)
            return largest(below, len(packs) - BOUNDS[name](best, fewest), fewest - len(packs), 0.0)

        yield f"lengths {lengths}", error


def best_number(lengths: list[int], capacity: int) -> int:
    """The smallest number of packs of whole documents, by trying all packings."""
    best = len(lengths)

    def put(index: int, rooms: list[int]) -> None:
        nonlocal best
        if len(rooms) >= best:
            return
        if index == len(lengths):
            best = len(rooms)
            return
        for place, room in enumerate(rooms):
            if room >= lengths[index]:
                put(index + 1, [*rooms[:place], room - lengths[index], *rooms[place + 1 :]])
        put(index + 1, [*rooms, capacity - lengths[index]])

    put(0, [])
    return best


def _resumed(build: Callable[[], Packer]) -> Iterable[Case]:
    """Difference after a state went through JSON into another packer."""
    for name, lengths in _sets():

        def error(lengths: list[int] = lengths) -> float:
            straight, packer, packs = list(build().packs(lengths)), build(), []
            for document, length in enumerate(lengths):
                packs += packer.add(document, length)
                state = json.loads(json.dumps(packer.state()))
                packer = build()
                packer.load(state)
            return float([*packs, *packer.finish()] != straight)

        yield name, error


def _defined(build: Callable[[], Packer], define: Callable[..., list[list[int]]]) -> Iterable[Case]:
    """Packs that are not those of the definition, read as sets of documents."""
    for name, lengths in _sets():

        def error(lengths: list[int] = lengths) -> float:
            found = [[document for document, _, _ in pack] for pack in build().packs(lengths)]
            return float(found != define(lengths))

        yield name, error


def next_fit(lengths: list[int]) -> list[list[int]]:
    """A new pack whenever the next document does not fit."""
    packs: list[list[int]] = []
    room = -1
    for document, length in enumerate(lengths):
        if length > room:
            packs.append([])
            room = CAPACITY
        packs[-1].append(document)
        room -= length
    return packs


def first_fit(lengths: list[int]) -> list[list[int]]:
    """Trying all packs from the first on."""
    packs: list[list[int]] = []
    for document, length in enumerate(lengths):
        for pack in packs:
            if sum(lengths[each] for each in pack) + length <= CAPACITY:
                pack.append(document)
                break
        else:
            packs.append([document])
    return packs


def rooms_of_best_fit_decreasing(lengths: list[int]) -> list[int]:
    """The rooms that are left, sorted; which of two packs with the same room is taken is free."""
    rooms: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [room for room in rooms if room >= length]
        chosen = min(fitting, default=CAPACITY)
        if fitting:
            rooms.remove(chosen)
        rooms.append(chosen - length)
    return sorted(rooms)


def in_window(lengths: list[int], window: int) -> list[list[int]]:
    """Best fit in a window, by looking at all documents that wait."""
    coming, waiting, packs = list(enumerate(lengths)), [], []
    room = -1
    while coming or waiting:
        while coming and len(waiting) < window:
            waiting.append(coming.pop(0))
        fitting = [each for each in waiting if each[1] <= room]
        if fitting:
            chosen = max(fitting, key=lambda each: (each[1], -each[0]))
        else:
            packs.append([])
            room, chosen = CAPACITY, waiting[0]
        waiting.remove(chosen)
        packs[-1].append(chosen[0])
        room -= chosen[1]
    return packs


def _rooms() -> Iterable[Case]:
    """The rooms left are those of best fit decreasing."""
    for name, lengths in _sets():

        def error(lengths: list[int] = lengths) -> float:
            packs = PACKERS["best-fit-decreasing"].build().packs(lengths)
            found = sorted(CAPACITY - size(pack) for pack in packs)
            return float(found != rooms_of_best_fit_decreasing(lengths))

        yield name, error


def _of(name: str, build: Callable[[], Packer]) -> Rows:
    """What every packer must obey."""
    return {
        "contract": [
            ("complete", "every token is in one pack, once", 0.0, partial(_complete, build)),
            ("resume", "a saved state goes on alike", 0.0, partial(_resumed, build)),
        ],
        "enumeration": [
            ("bound", "no more packs than the bound", 0.0, partial(_bounded, name, build)),
        ],
    }


def _little_room() -> float:
    """Lognormal lengths fill at least 0.99 of the packs."""
    packer = WindowBestFit(2048)
    return LEAST_FILL - fill_of(list(packer.packs(lognormal(generator(), 20_000))), 2048)


_LAWS: Rows = {
    "statistics": [
        ("packing/window-best-fit/fill", 0.0, _little_room),
    ],
}

_CASES: Rows = {
    "definition": [
        (
            "packing/next-fit/definition",
            "a window of one is next-fit",
            0.0,
            partial(_defined, PACKERS["next-fit"].build, next_fit),
        ),
        (
            "packing/first-fit/definition",
            "the tree finds the first pack with room",
            0.0,
            partial(_defined, PACKERS["first-fit"].build, first_fit),
        ),
        ("packing/best-fit-decreasing/definition", 0.0, _rooms),
    ],
}

LAWS: list[Law] = [
    *table(_LAWS),
    *table(_CASES, law_of_cases),
    *(
        law
        for name, method in PACKERS.items()
        for law in table(_of(name, method.build), law_of_cases, prefix=f"packing/{name}/")
    ),
    *(
        law_of_cases(
            f"packing/window-best-fit/definition-{window}",
            "the longest that waits and fits is taken",
            0.0,
            partial(
                _defined,
                partial(WindowBestFit, CAPACITY, window=window),
                partial(in_window, window=window),
            ),
            oracle="definition",
        )
        for window in (3, 10)
    ),
]
