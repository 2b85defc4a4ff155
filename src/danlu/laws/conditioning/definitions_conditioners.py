"""Conditioners beside their formulas, written apart."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d
from typing_extensions import override

from danlu.conditioning.conditioner import Conditioner
from danlu.conditioning.images import ImageEncoder
from danlu.conditioning.joined import Joined
from danlu.conditioning.texts import DEPTH, TokenEncoder
from danlu.conditioning.vectors import VectorEmbedding
from danlu.contracts import Condition, Features
from danlu.laws.constants import golden_law
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Rows, table
from danlu.laws.mixers.definitions import moved, numbers, weights_of
from danlu.mixers.softmax import Softmax
from danlu.positions.learned import Learned

N, DIM = 3, 6


def _sloped(x: Tensor) -> Tensor:
    """SiLU: x over 1 + e^-x."""
    return x / (1 + torch.exp(-x))


def images() -> float:
    """Convolutions, places, a map of each cell and a mean; first, or alone, the token of none."""
    model = moved(ImageEncoder((2, 5, 7), DIM).double())
    w, x = weights_of(model), numbers(N, 2, 5, 7)
    h = _sloped(conv2d(x, w["enter.weight"], w["enter.bias"], stride=2, padding=1))
    h = conv2d(h, w["deeper.weight"], w["deeper.bias"], stride=2, padding=1)
    cells = h.flatten(2).transpose(1, 2) + w["places"]  # 2 by 2 of them
    cells = _sloped(cells) @ w["mix.weight"].T + w["mix.bias"]
    tokens = torch.cat([w["null"].expand(N, 1, -1), cells], dim=1)
    vector = tokens.mean(1) @ w["leave.weight"].T + w["leave.bias"]
    none = w["null"] @ w["leave.weight"].T + w["leave.bias"]
    found, untold = model(Condition(x), N), model(None, N)
    return gap(
        [found.tokens, found.vector, untold.tokens, untold.vector],
        [tokens, vector, tokens[:, :1], none.expand(N, -1)],
    )


def vectors() -> float:
    """A network of one hidden layer, or a vector of its own where nothing is told."""
    model = moved(VectorEmbedding(4, DIM).double())
    w, v = weights_of(model), numbers(N, 4)
    told = _sloped(v @ w["enter.weight"].T + w["enter.bias"])
    told = told @ w["leave.weight"].T + w["leave.bias"]
    given = torch.tensor([True, False, True])
    known = torch.where(given[:, None], told, w["null"])
    return gap(model.vector(Condition(v, given=given), N), known)


def texts() -> float:
    """What the stack says of a first token and the others; the vector is linear in its mean."""
    model = moved(TokenEncoder(4, 5, DIM).double())
    w, ids = weights_of(model), torch.tensor([[0, 4, 2, 1], [3, 3, 0, 4], [1, 2, 0, 0]])
    lengths = [4, 2, 3]
    valid = torch.arange(4) < torch.tensor(lengths)[:, None]
    found = model(Condition(ids, valid), N)
    errors = []
    for row, length in enumerate(lengths):
        read = torch.tensor([5, *ids[row, :length].tolist()])
        said, _ = model.stack(w["table.weight"][read][None])
        vector = said[0].mean(0) @ w["leave.weight"].T + w["leave.bias"]
        errors += [gap(found.tokens[row, : length + 1], said[0]), gap(found.vector[row], vector)]
    return largest(errors)


def _heads(dim: int) -> list[int]:
    stack = TokenEncoder(4, 5, dim).stack
    return [part.heads for part in stack.modules() if isinstance(part, Softmax)]


class _Plain(Conditioner):
    """Says two tokens of ones of everything, and not which of them are valid."""

    tokens = True

    @override
    def forward(self, condition: Condition | None, n: int) -> Features:
        return Features(torch.ones(n, self.dim), torch.ones(n, 2, self.dim))

    @override
    def silence(self) -> None:
        """There is nothing to silence."""


def joined() -> float:
    """Tokens stand one after the other, all of them valid where nothing else is said."""
    image = moved(ImageEncoder((2, 5, 7), DIM).double())
    whole, x = Joined([_Plain(DIM), image, _Plain(DIM)]), numbers(N, 2, 5, 7)
    told = Condition(x, given=torch.tensor([True, False, True]))
    nothing = Condition(torch.zeros(N).long())
    found, own = whole(Condition((nothing, told, nothing)), N), image(told, N)
    ones, sure = torch.ones(N, 2, DIM), torch.ones(N, 2, dtype=torch.bool)
    tokens, valid = ((a, b, a) for a, b in ((ones, own.tokens), (sure, own.valid)))
    known = [own.vector + 2, torch.cat(tokens, 1), torch.cat(valid, 1)]
    return gap([found.vector, found.tokens, found.valid], known)


def _image_sizes() -> list[list[int]]:
    model = ImageEncoder((2, 5, 7), DIM)
    parts = (model.enter.weight, model.deeper.weight, model.places)
    return [list(part.shape) for part in parts]


CONSTANTS = golden_law(
    "conditioning/constants",
    "texts are read as documented: one block, heads of 16 or one head",
    [
        ("blocks", lambda: DEPTH, 1),
        (
            "places of a text of four tokens and of a first one",
            lambda: [
                len(part.table.weight)
                for part in TokenEncoder(4, 5, 8).modules()
                if isinstance(part, Learned)
            ],
            [5],
        ),
        (
            "cells of 3 by 3 pixels, every second one, twice: 2 by 2 of 5 by 7",
            _image_sizes,
            [[DIM, 2, 3, 3], [DIM, DIM, 3, 3], [4, DIM]],
        ),
        (
            "heads of 16 where they fill the width, else one",
            lambda: [_heads(dim) for dim in (8, 30, 32, 48, 56)],
            [[1], [1], [2], [3], [1]],
        ),
    ],
)

_LAWS: Rows = {
    "definition": [
        (
            "conditioning/images",
            "images are read by their convolutions, written apart",
            1e-12,
            images,
        ),
        ("conditioning/vectors", 1e-12, vectors),
        ("conditioning/texts", 1e-12, texts),
        ("conditioning/joined-tokens", 1e-12, joined),
    ],
}

LAWS = [CONSTANTS, *table(_LAWS)]
