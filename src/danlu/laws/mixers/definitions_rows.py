"""Definitions of how rows, padding and packed documents are moved about, by lists in Python."""

import itertools
import math
from functools import partial
from typing import Any

import torch

from danlu.laws.gaps import gap, largest
from danlu.laws.layers.definitions_layers import attended
from danlu.laws.mixers.definitions import Errors, module_laws, numbers
from danlu.laws.mixers.sequences import refused
from danlu.layers import alignment, groups, packing, rows, seeded, varlen

LENGTHS = (3, 0, 5, 1, 5)
TOTAL = sum(LENGTHS)
STARTS = [sum(LENGTHS[:n]) for n in range(6)]
VALID = torch.tensor([[True, False, True, True], [False, False, False, True]])


def _apart(x: torch.Tensor) -> list[torch.Tensor]:
    """The documents of packed tokens."""
    return [x[a:b] for a, b in itertools.pairwise(STARTS)]


def sorted_rows() -> float:
    """Padding first, tokens behind it in their order; there and back; zeros on padding."""
    x = numbers(2, 4, 3)
    index, back = alignment.to_the_end(VALID)
    order = [[1, 0, 2, 3], [0, 1, 2, 3]]
    expected = torch.stack([row[places] for row, places in zip(x, order, strict=True)])
    there = alignment.moved(x, index)
    silent = x.clone()
    silent[0, 1] = silent[1, :3] = 0.0
    poisoned = torch.where(VALID[..., None], x, torch.nan)
    return gap(
        [there, alignment.moved(there, back), alignment.zeroed(poisoned, VALID)],
        [expected, x, silent],
    )


def shaped() -> float:
    """A value for each row of three axes."""
    values = torch.arange(2.0)
    return gap(rows.per_row(values, numbers(2, 3, 4)), values.reshape(2, 1, 1))


def normals() -> float:
    """The integer hash and the Box-Muller map in Python's integers and floats."""
    seed, count = 5, 12
    value = (seed * 0x9E3779B97F4A7C15 + 0x7F4A7C15) % 2**64
    value = (value ^ (value >> 32)) % 2**31
    uniform = []
    for index in range(2 * count):
        mixed = index ^ value
        for factor in (0x2C1B3C6D, 0x297A2D39, 0x1B873593):
            mixed = ((mixed ^ (mixed >> 15)) * factor) % 2**31
            mixed ^= mixed >> 13
        uniform.append((mixed + 0.5) / 2**31)
    pairs = zip(uniform[:count], uniform[count:], strict=True)
    expected = [math.sqrt(-2 * math.log(a)) * math.cos(2 * math.pi * b) for a, b in pairs]
    found = seeded.seeded_normal(seed, 3, 4, like=torch.zeros(1, dtype=torch.float64))
    return gap(found, torch.tensor(expected).reshape(3, 4))


def documents(name: str) -> float:
    """Boundaries, padded rows and packed rows against lists of documents."""
    ends, x = packing.boundaries(LENGTHS), numbers(1, TOTAL, 2)
    token, valid = packing.padded_rows(ends)
    wide = torch.zeros(5, 5, 2)
    there = torch.zeros(5, 5, dtype=torch.bool)
    for row, document in enumerate(_apart(x[0])):
        wide[row, : len(document)], there[row, : len(document)] = document, True
    number = [row for row, length in enumerate(LENGTHS) for _ in range(length)]
    mixed = torch.tensor([[True, False, True], [False, True, False]])
    spread = torch.zeros(2, 3, 2)
    spread[0, 0], spread[0, 2], spread[1, 1] = x[0, :3]
    wrong = [[1, 3], [0, 4, 2, TOTAL], [0, 3]]
    full: dict[tuple[int, ...], bool] = {(20, 19): True, (20, 18): True, (20, 17): False}
    cases: dict[str, Any] = {
        "boundaries": lambda: gap(ends.long(), torch.tensor(STARTS)),
        "check_boundaries": lambda: (
            gap(packing.check_boundaries(ends, TOTAL), LENGTHS)
            + sum(
                refused(lambda each=each: packing.check_boundaries(torch.tensor(each), TOTAL))
                for each in wrong
            )
        ),
        "document_ids": lambda: gap(packing.document_ids(ends, TOTAL), torch.tensor(number)),
        "nearly_full": lambda: float(
            sum(packing.nearly_full(each) != is_full for each, is_full in full.items())
        ),
        "pack": lambda: gap(packing.pack(wide, there), x),
        "padded_rows": lambda: gap([valid, token[there]], [there, torch.arange(TOTAL)]),
        "restore": lambda: gap(packing.restore(x[:, :3], mixed), spread),
        "unpack": lambda: gap(packing.unpack(x, token, valid), wide),
    }
    return cases[name]()


def side_by_side() -> float:
    """Rows of two groups and back, where they hold tokens, their padding and order."""
    chosen, x = groups.Groups(LENGTHS, ((2, 4), (0, 1, 3))), numbers(TOTAL, 2)
    first, second = chosen.take(x)
    parts = _apart(x)
    there = torch.tensor([[n < LENGTHS[d] for n in range(3)] for d in (0, 1, 3)])
    wide = torch.zeros(3, 3, 2)
    for row, document in enumerate((0, 1, 3)):
        wide[row, : LENGTHS[document]] = parts[document]
    cpu = torch.device("cpu")
    wrong = float(chosen.valid(0, cpu) is not None) + gap(chosen.padding, 5)
    found = [first, second, chosen.put([first, second]), chosen.valid(1, cpu), chosen.rank]
    expected = [torch.stack([parts[2], parts[4]]), wide, x, there, torch.tensor([2, 3, 0, 4, 1])]
    return gap(found, expected) + wrong


def _cost(
    lengths: tuple[int, ...], members: Any, linear: float, quadratic: float, call: float
) -> float:
    longest = [max(lengths[document] for document in group) for group in members]
    work = [linear * n + quadratic * n**2 for n in longest]
    return sum(call + w * len(group) for w, group in zip(work, members, strict=True))


def cheapest() -> float:
    """The cost of groups against that of all cuts between sorted lengths, within the slack."""
    worst = 0.0
    for call in (0.0, 5.0, 40.0, 1e6):
        lengths, best = (7, 2, 2, 9, 4, 7, 1), math.inf
        ranked = sorted(range(7), key=lambda d: -lengths[d])
        distinct = sorted(set(lengths), reverse=True)
        for cuts in itertools.product((False, True), repeat=len(distinct) - 1):
            members, part = [], {distinct[0]}
            for length, cut in zip(distinct[1:], cuts, strict=True):
                if cut:
                    members.append([d for d in ranked if lengths[d] in part])
                    part = set()
                part = part | {length}
            members.append([d for d in ranked if lengths[d] in part])
            best = min(best, _cost(lengths, members, 1.0, 0.5, call))
        found = groups.grouped(lengths, 1.0, 0.5, call)
        cost = _cost(lengths, found.members, 1.0, 0.5, call)
        everyone = sorted(d for group in found.members for d in group)
        # Groups without padding may cost a tenth more.
        allowed = 1.1 * best if not found.padding else best
        worst = largest(worst, cost - allowed, float(everyone != list(range(7))))
    return worst


def inside() -> float:
    """Attention of tokens to their own document, in every direction and window."""
    q, k, v = (numbers(TOTAL, 2, size, stream=n) for n, size in enumerate((4, 4, 3)))
    for call in (1.0, 1e9):
        packed = varlen.Documents(packing.boundaries(LENGTHS), LENGTHS, call)
        for causal, window in itertools.product((True, False), (None, 2)):
            found = varlen.attend_documents(q, k, v, packed, causal=causal, window=window)

            def seen(i: int, j: int, causal: bool = causal, window: int | None = window) -> bool:
                return (j <= i or not causal) and (window is None or gap(i, j) < window)

            rows = []
            for own in zip(*(_apart(part) for part in (q, k, v)), strict=True):
                if len(own[0]):
                    q_own, k_own, v_own = (part.transpose(0, 1)[None] for part in own)
                    y = attended(q_own, k_own, v_own, seen, 0.5)
                    rows.append(y[0].transpose(0, 1))
            error = gap(found, torch.cat(rows))
            if not error < 1e-12:
                return error
    return 0.0


def seen_tokens() -> float:
    """Which tokens are seen, with padding, to the past, and within a window."""
    there, worst = torch.tensor([[True] * 4, [True, True, False, False]]), 0.0
    cpu = torch.device("cpu")
    for valid, causal, window in itertools.product((None, there), (True, False), (None, 2)):
        found = varlen.allowed(4, valid, cpu, causal=causal, window=window)
        expected = torch.ones(2, 1, 4, 4, dtype=torch.bool)
        for b, i, j in itertools.product(range(2), range(4), range(4)):
            near = (j <= i or not causal) and (window is None or gap(i, j) < window)
            expected[b, 0, i, j] = near and (valid is None or bool(valid[b, j]))
        if found is None:
            worst += float(not expected.all())
        else:
            worst = largest(worst, gap(found.expand(2, 1, 4, 4), expected))
    return worst


def no_kernel() -> float:
    """A kernel that is found on a processor."""
    return float(varlen.has_kernel(numbers(2, 2, 8).half(), numbers(2, 2, 8).half()))


def whole_groups() -> float:
    """Documents of about one length that do not form one group, and others that do."""
    even, uneven = (
        varlen.Documents(packing.boundaries(each), each, 0.0) for each in ((20, 20, 19), (1, 9))
    )
    return float(len(even.groups(4).members) != 1) + float(len(uneven.groups(4).members) != 2)


DEFINED: dict[str, Errors] = {
    "alignment": {"to_the_end": sorted_rows, "moved": sorted_rows, "zeroed": sorted_rows},
    "groups": {"Groups": side_by_side, "grouped": cheapest},
    "packing": {
        name: partial(documents, name)
        for name in (
            "boundaries",
            "check_boundaries",
            "document_ids",
            "nearly_full",
            "pack",
            "padded_rows",
            "restore",
            "unpack",
        )
    },
    "rows": {"per_row": shaped},
    "seeded": {"seeded_normal": normals},
    "varlen": {
        "allowed": seen_tokens,
        "attend_documents": inside,
        "Documents": whole_groups,
        "has_kernel": no_kernel,
    },
}
"""Every public function of these modules, with the error against its definition."""

LAWS = module_laws(DEFINED)
