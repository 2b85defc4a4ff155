"""Definitions of the rotary encodings: pairs as complex numbers, matrices as exponentials."""

import cmath
import math
from functools import partial

import torch
from torch import Tensor

from danlu.laws.mixers.definitions import Weights
from danlu.laws.positions.definitions_places import Places, alone, places_law
from danlu.positions import POSITIONS
from danlu.positions.general_rotary import GeneralRotary
from danlu.positions.llama3 import Llama3Rotary
from danlu.positions.multimodal_rotary import MRoPE
from danlu.positions.ntk_dynamic import DynamicNTKRotary
from danlu.positions.orthogonal_power import OrthogonalPower
from danlu.positions.rotary import Rotary
from danlu.positions.rotary_grid import RotaryGrid
from danlu.positions.yarn import YaRN
from danlu.positions.yarn_turns import YaRNTurns

THETA = [1.0, 0.01]
"""10,000^(-2i/4)."""


def rotation(
    theta: list[float],
    w: Weights,
    x: Tensor,
    n: Tensor,
    *,
    interleaved: bool = False,
    axis: list[int] | None = None,
) -> Tensor:
    """The first features as complex pairs times e^{i n theta}; each pair turns by its axis."""
    places = n[..., None].expand(*n.shape, len(theta)) if axis is None else n[..., axis]
    factor = torch.exp(1j * places.double() * torch.tensor(theta))[:, None]
    turning, rest = x[..., : 2 * len(theta)], x[..., 2 * len(theta) :]
    if interleaved:
        found = torch.complex(turning[..., 0::2], turning[..., 1::2]) * factor
        parts = [torch.stack([found.real, found.imag], dim=-1).flatten(-2), rest]
    else:
        found = torch.complex(*turning.chunk(2, dim=-1)) * factor
        parts = [found.real, found.imag, rest]
    return torch.cat(parts, dim=-1)


def between(size: int, length: int, factor: float, base: float, fast: float) -> list[float]:
    """Kept from `fast` turns in the length on, divided up to one turn, blended between by turns."""
    found = []
    for pair in range(size // 2):
        theta = base ** (-2 * pair / size)
        kept = (length * theta / (2 * math.pi) - 1) / (fast - 1)
        kept = min(max(kept, 0.0), 1.0)
        found.append(kept * theta + (1 - kept) * theta / factor)
    return found


def dynamic(reached: int, length: int, factor: float) -> list[float]:
    """The base 10,000 (s l / L - s + 1)^(d / (d - 2)) of heads of 8 that reach l."""
    base = 10_000.0 * (factor * max(reached, length) / length - factor + 1) ** (8 / 6)
    return [base ** (-2 * pair / 8) for pair in range(4)]


def sharpened(factor: float, theta: list[float], w: Weights, x: Tensor, n: Tensor) -> Tensor:
    """Turned, times 0.1 ln s + 1."""
    return (0.1 * math.log(factor) + 1) * rotation(theta, w, x, n)


def general(w: Weights, x: Tensor, n: Tensor) -> Tensor:
    """Exp of the sum of p_a B_a, where B_a turns planes of the basis (I - W) (I + W)^-1."""
    skew, eye = w["skew"] - w["skew"].T, torch.eye(x.shape[-1])
    basis = (eye - skew) @ torch.linalg.inv(eye + skew)
    n = n[..., None] if n.ndim == 2 else n
    generators = []
    for theta in w["frequencies"]:
        planes = [torch.stack([torch.stack([0 * t, -t]), torch.stack([t, 0 * t])]) for t in theta]
        generators.append(basis @ torch.block_diag(*planes) @ basis.T)
    total = torch.einsum("bna,aij->bnij", n.double(), torch.stack(generators))
    return torch.einsum("bnij,bhnj->bhni", torch.linalg.matrix_exp(total), x)


def power(matrix: Tensor, w: Weights, x: Tensor, n: Tensor) -> Tensor:
    """O^n x."""
    powers = [torch.eye(len(matrix))]
    for _ in range(30):
        powers.append(matrix @ powers[-1])
    return torch.einsum("bnij,bhnj->bhni", torch.stack(powers)[n], x)


def _reflection() -> Tensor:
    """An orthogonal matrix of determinant -1 with a plane, a flip and a direction that stays."""
    turn = cmath.exp(0.7j)
    inner = torch.zeros(4, 4)
    inner[:2, :2] = torch.tensor([[turn.real, -turn.imag], [turn.imag, turn.real]])
    inner[2, 2], inner[3, 3] = -1.0, 1.0
    axis = torch.tensor([1.0, 2.0, 3.0, 4.0])
    mirror = torch.eye(4) - 2 * torch.outer(axis, axis) / axis.square().sum()
    return (mirror @ inner @ mirror.T).double()


_TABLE = partial(rotation, THETA)
_SHIFT = torch.eye(4, dtype=torch.float64).roll(1, 0)
_WIDE = [10_000.0 ** (-2 * pair / 16) for pair in range(8)]

_DIVIDED = [1.0, *(10_000.0 ** (-2 * pair / 16) / 4 for pair in range(1, 8))]

LAWS = [
    alone("rope", "rotate", _TABLE),
    alone("rope-interleaved", "rotate", partial(_TABLE, interleaved=True)),
    places_law(
        "rope-partial",
        [
            Places(
                build=POSITIONS["rope-partial"].build, formulas={"rotate": partial(rotation, [1.0])}
            ),
            Places(
                words="four of ten",
                build=partial(Rotary, 10, rotated=4, layout="interleaved"),
                formulas={"rotate": partial(rotation, THETA, interleaved=True)},
                size=10,
            ),
        ],
    ),
    places_law(
        "rope-values",
        [
            Places(
                build=POSITIONS["rope-values"].build, formulas={"rotate": _TABLE, "carry": _TABLE}
            )
        ],
    ),
    alone("rope-interpolated", "rotate", partial(rotation, [1 / 4, 0.01 / 4])),
    # 10,000 * 4^(4/2) to the power -2i/4.
    alone("rope-ntk", "rotate", partial(rotation, [1.0, 160_000**-0.5])),
    places_law(
        "rope-ntk-dynamic",
        [
            Places(
                build=POSITIONS["rope-ntk-dynamic"].build,
                words="within the length",
                formulas={"rotate": _TABLE},
            ),
            Places(
                build=partial(DynamicNTKRotary, 8, length=10, factor=2.0),
                words="beyond the length",
                formulas={"rotate": partial(rotation, dynamic(30, 10, 2.0))},
                size=8,
            ),
        ],
    ),
    places_law(
        "rope-yarn-turns",
        [
            Places(
                build=partial(YaRNTurns, 16, factor=4.0, length=64),
                words="heads of 16",
                formulas={"rotate": partial(sharpened, 4.0, between(16, 64, 4.0, 10_000.0, 32.0))},
                size=16,
            ),
            Places(
                build=partial(YaRNTurns, 16, factor=1.5, length=64),
                words="half as long again",
                formulas={"rotate": partial(sharpened, 1.5, between(16, 64, 1.5, 10_000.0, 32.0))},
                size=16,
            ),
        ],
    ),
    places_law(
        "rope-yarn/short-training",
        [
            Places(
                # No pair turns once in five tokens: the ramp falls at once behind the first.
                build=partial(YaRN, 16, factor=4.0, length=5),
                words="an empty ramp",
                formulas={"rotate": partial(sharpened, 4.0, _DIVIDED)},
                size=16,
            )
        ],
    ),
    places_law(
        "rope-llama3",
        [
            Places(
                build=partial(Llama3Rotary, 16, length=512),
                words="heads of 16",
                formulas={"rotate": partial(rotation, between(16, 512, 8.0, 500_000.0, 4.0))},
                size=16,
            )
        ],
    ),
    places_law(
        "rope-grid",
        [
            Places(
                build=POSITIONS["rope-grid"].build,
                formulas={"rotate": partial(rotation, [1.0, 1.0], axis=[0, 1])},
                axes=2,
            ),
            Places(
                words="heads of 12, three axes",
                build=partial(RotaryGrid, 12, axes=3),
                formulas={"rotate": partial(rotation, 3 * THETA, axis=[0, 0, 1, 1, 2, 2])},
                axes=3,
                size=12,
            ),
        ],
    ),
    places_law(
        "m-rope",
        [
            Places(
                build=POSITIONS["m-rope"].build,
                formulas={"rotate": partial(rotation, THETA, axis=[0, 1])},
                axes=3,
            ),
            Places(
                words="blocks",
                build=partial(MRoPE, 16, sections=(2, 3, 3)),
                formulas={"rotate": partial(rotation, _WIDE, axis=[0, 0, 1, 1, 1, 2, 2, 2])},
                axes=3,
                size=16,
            ),
            Places(
                words="dealt out",
                build=partial(MRoPE, 16, sections=(4, 2, 2), order="interleaved"),
                formulas={"rotate": partial(rotation, _WIDE, axis=[0, 1, 2, 0, 1, 2, 0, 0])},
                axes=3,
                size=16,
            ),
        ],
    ),
    places_law(
        "rope-general",
        [
            Places(build=POSITIONS["rope-general"].build, formulas={"rotate": general}),
            Places(
                words="two coordinates",
                build=partial(GeneralRotary, 4, coordinates=2),
                formulas={"rotate": general},
                axes=2,
            ),
        ],
    ),
    places_law(
        "orthogonal-power",
        [
            Places(
                build=POSITIONS["orthogonal-power"].build,
                formulas={"rotate": partial(power, _SHIFT)},
            ),
            Places(
                words="a reflection",
                build=lambda: OrthogonalPower(_reflection()),
                formulas={"rotate": lambda *parts: power(_reflection(), *parts)},
            ),
        ],
    ),
]
