"""Rotary encodings for longer texts: published frequencies and definitions."""

import math
from collections.abc import Callable, Mapping

import torch

from danlu.laws.draws import standard_normal
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Law, Oracle
from danlu.laws.mixers.sequences import refused
from danlu.positions.interpolation import InterpolatedRotary
from danlu.positions.llama3 import Llama3Rotary
from danlu.positions.ntk import NTKRotary
from danlu.positions.ntk_dynamic import DynamicNTKRotary
from danlu.positions.rotary import Rotary
from danlu.positions.yarn import Ramp, YaRN
from danlu.positions.yarn_turns import YaRNTurns

YARN_LLAMA2 = {
    0: 1.0,
    16: 0.10000000149011612,
    20: 0.05623412877321243,
    24: 0.02706180140376091,
    28: 0.012653142213821411,
    32: 0.005673076957464218,
    36: 0.0023791363928467035,
    40: 0.0008817889611236751,
    48: 6.25000029685907e-05,
    63: 7.217387064883951e-06,
}
"""Pair -> frequency of heads of 128, base 10,000, 16 times 4,096 tokens (transformers 5.13)."""

YARN_QWEN = {
    16: 0.03162277862429619,
    20: 0.01333521492779255,
    24: 0.005375321488827467,
    28: 0.0018482765881344676,
    32: 0.0006029411451891065,
    36: 0.0001798411540221423,
    40: 4.4456985051510856e-05,
    63: 3.102344408034696e-07,
}
"""The same for base 1,000,000 and 4 times 32,768 tokens, as Qwen 2.5 is lengthened."""

LLAMA3 = {
    0: 1.0,
    8: 0.193922758102417,
    24: 0.00729266507551074,
    28: 0.0032114461064338684,
    32: 0.0005248460220173001,
    36: 7.784655463183299e-05,
    40: 3.428102354519069e-05,
    63: 3.068925877869333e-07,
}
"""Heads of 128 of Llama 3.1: base 500,000, 8 times 8,192 tokens."""

DYNAMIC = {
    2048: {1: 0.8659643530845642, 32: 0.009999999776482582, 63: 0.00011547819303814322},
    4096: {1: 0.8509942889213562, 32: 0.005723381880670786, 63: 3.849273343803361e-05},
    8192: {1: 0.8396257758140564, 32: 0.0037217214703559875, 63: 1.649688601901289e-05},
}
"""Length -> pair -> frequency of heads of 128 trained at 2,048 tokens, factor 2."""


def _golden(found: tuple[float, ...], published: Mapping[int, float]) -> float:
    """Largest relative difference; the published ones were computed in float32."""
    return largest(gap(found[pair] / value, 1) for pair, value in published.items())


def interpolation_divides() -> float:
    """Angles at s times a position against the plain ones there."""
    x, place = standard_normal(1, 1, 5, 8), torch.arange(5)[None]
    stretched = InterpolatedRotary(8, factor=4.0).turn(x, 4 * place)
    return gap(stretched, Rotary(8).turn(x, place))


def ntk_ends() -> float:
    """The fastest frequency against 1, the slowest against its own over s."""
    found, slowest = NTKRotary(64, factor=8.0).frequencies, 10_000 ** (-62 / 64)
    return largest(gap(found[0], 1), gap(found[-1] / slowest * 8, 1))


def yarn_is_published() -> float:
    """Frequencies and attention factors of two published configurations."""
    llama = YaRN(128, factor=16.0, length=4096)
    qwen = YaRN(128, factor=4.0, length=32768, base=1e6)
    scale = largest(
        gap(llama.magnitude / 1.2772588722239782, 1), gap(qwen.magnitude / 1.138629436, 1)
    )
    of_frequencies = _golden(llama.frequencies, YARN_LLAMA2), _golden(qwen.frequencies, YARN_QWEN)
    return largest(scale, *of_frequencies)


def yarn_by_definition() -> float:
    """Each pair against the definition, where not all features turn; no factor, no change."""
    length, base, turning, factor, worst = 512, 5000.0, 24, 6.0, 0.0
    for slow, fast, whole in ((1.0, 32.0, True), (2.0, 20.0, True), (1.0, 32.0, False)):
        ramp = Ramp(slow=slow, fast=fast, whole=whole)
        yarn = YaRN(40, factor=factor, length=length, base=base, rotated=turning, ramp=ramp)
        # theta_i = base^(-2i/d) turns beta times in the length at i = d ln(L/2 pi beta)/2 ln base.
        ends = [
            turning * math.log(length / (beta * 2 * math.pi), base) / 2 for beta in (fast, slow)
        ]
        first, last = (math.floor(ends[0]), math.ceil(ends[1])) if whole else ends
        for i, found in enumerate(yarn.frequencies):
            theta = base ** (-2 * i / turning)
            divided = min(max((i - first) / (last - first), 0), 1)
            expected = theta * (1 - divided) + theta / factor * divided
            worst = largest(worst, gap(found, expected))
        worst += len(yarn.frequencies) != turning // 2
    same = YaRN(64, factor=1.0, length=256)
    plain = [10_000 ** (-2 * i / 64) for i in range(32)]
    worst += refused(lambda: Ramp(slow=3.0, fast=2.0))
    return largest(worst, gap(same.frequencies, tuple(plain)), gap(same.magnitude, 1))


def yarn_sharpens_what_turns() -> float:
    """Scores of the features that turn times (0.1 ln s + 1)^2, of the others as they are."""
    yarn, q, k = (
        YaRN(8, factor=8.0, length=64, rotated=4),
        standard_normal(1, 1, 1, 8),
        standard_normal(1, 1, 1, 8, stream=1),
    )
    place = torch.tensor([[7]])
    turned = [part[0, 0, 0] for part in yarn.rotate(q, k, place, place)]
    of_each = (q * k)[0, 0, 0]
    factor = (0.1 * math.log(8) + 1) ** 2
    expected = factor * of_each[:4].sum() + of_each[4:].sum()
    return gap(turned[0] @ turned[1], expected)


def turns_blend() -> float:
    """Fast pairs kept, slow ones divided, between in order of turns; the scale."""
    length, yarn, worst = 256, YaRNTurns(64, factor=8.0, length=256), 0.0
    for i, found in enumerate(yarn.frequencies):
        theta = 10_000 ** (-2 * i / 64)
        turns = length * theta / (2 * math.pi)
        share = (turns - 1) / 31  # of the plain frequency
        expected = theta if turns >= 32 else theta / 8
        expected = share * theta + (1 - share) * theta / 8 if 1 < turns < 32 else expected
        worst = largest(worst, gap(found, expected))
    return largest(worst, gap(yarn.magnitude, 0.1 * math.log(8) + 1))


def llama3_is_published() -> float:
    """Frequencies of Llama 3.1, the defaults, which leave scores as they are."""
    llama = Llama3Rotary(128)
    return largest(_golden(llama.frequencies, LLAMA3), gap(llama.magnitude, 1))


def dynamic_follows() -> float:
    """Its angles over positions against published frequencies, and the plain ones up to L."""
    rope, worst = DynamicNTKRotary(128, length=2048, factor=2.0), 0.0
    for length, published in DYNAMIC.items():
        angles = rope.angles(torch.tensor([[3, length - 1]]), torch.float64)[0]
        worst = largest(worst, _golden(tuple((angles[0] / 3).tolist()), published))
    return worst


def dynamic_is_plain() -> float:
    """Within the length of training against plain rotations, whatever a longer row needs."""
    rope, x = DynamicNTKRotary(8, length=16, factor=3.0), standard_normal(2, 1, 5, 8)
    place = torch.tensor([[0, 3, 9, 12, 15], [0, 3, 9, 12, 40]])
    found = rope.turn(x, place)
    return gap(found[:1], Rotary(8).turn(x, place)[:1])


def dynamic_stays_relative() -> float:
    """A query far from its keys: both sides turn by the base of the longer one."""
    rope, q, k = (
        DynamicNTKRotary(8, length=4),
        standard_normal(1, 1, 1, 8),
        standard_normal(1, 1, 3, 8, stream=1),
    )
    places = torch.tensor([[30]]), torch.tensor([[0, 12, 29]])
    found = rope.rotate(q, k, *places)
    # factor 1: the base grows by length / 4 to the power 8/6.
    plain = NTKRotary(8, factor=31 / 4).rotate(q, k, *places)
    return gap(found[0] @ found[1].mT, plain[0] @ plain[1].mT)


_ROWS: list[tuple[str, str, float, Oracle, Callable[[], float]]] = [
    (
        "rope-interpolated/divides",
        "s times as far is as before",
        1e-12,
        "closed form",
        interpolation_divides,
    ),
    (
        "rope-llama3/published",
        "the defaults are Llama 3.1's frequencies",
        1e-6,
        "golden value",
        llama3_is_published,
    ),
    (
        "rope-ntk/ends",
        "the ends of the frequencies are kept and divided",
        1e-12,
        "closed form",
        ntk_ends,
    ),
    (
        "rope-ntk-dynamic/published",
        "the base follows the length",
        1e-6,
        "golden value",
        dynamic_follows,
    ),
    (
        "rope-ntk-dynamic/plain",
        "up to the length of training nothing changes",
        1e-12,
        "closed form",
        dynamic_is_plain,
    ),
    (
        "rope-ntk-dynamic/one-base",
        "queries and keys of a call share one base",
        1e-12,
        "closed form",
        dynamic_stays_relative,
    ),
    (
        "rope-yarn/definition",
        "the ramp is in the index of the pair",
        1e-12,
        "definition",
        yarn_by_definition,
    ),
    (
        "rope-yarn/published",
        "frequencies and factors of published models",
        1e-6,
        "golden value",
        yarn_is_published,
    ),
    (
        "rope-yarn/sharpness",
        "scores of what turns are sharpened, no others",
        1e-12,
        "closed form",
        yarn_sharpens_what_turns,
    ),
    ("rope-yarn-turns/blend", "the ramp rises with the turns", 1e-12, "definition", turns_blend),
]

LAWS = [
    Law(f"positions/{name}", said, limit, run, oracle=oracle)
    for name, said, limit, oracle, run in _ROWS
]
