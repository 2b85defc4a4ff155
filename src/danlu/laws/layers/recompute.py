"""Laws of recomputing: gradients to the bit, schedules and plans against exact searches."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise, product
from math import inf
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import dropout

from danlu.backbones.convnets import ConvDecoder, ConvEncoder
from danlu.backbones.mlp import MLP
from danlu.backbones.resnet import ResNet
from danlu.backbones.transformer import Transformer, transformer_block
from danlu.backbones.unet import UNet
from danlu.laws.draws import numbers, seed, seeded
from danlu.laws.gaps import gap, largest
from danlu.laws.law import Law, Rows, table
from danlu.layers.recompute import (
    Cost,
    Reversible,
    Segment,
    added_cost,
    least_memory,
    peak,
    plan,
    recompute,
    save_products,
    uniform,
)
from danlu.training.recomputing import blocks_of, once

DROP = 0.2


def _drop(_: nn.Module, __: Any, output: Tensor) -> Tensor:
    return dropout(output, DROP)


def _dropped(model: nn.Module) -> nn.Module:
    """The model with dropout after every linear map and convolution."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.register_forward_hook(_drop)
    return model


def _mlp() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return MLP(3, 2, width=8, depth=5, features=4), (torch.randn(6, 3), torch.randn(6, 4))


def _unet() -> tuple[nn.Module, tuple[Tensor, ...]]:
    network = UNet(1, width=8, multipliers=(1, 2), features=4)
    return network, (torch.randn(3, 1, 9, 8), torch.randn(3, 4))


def _encoder() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return ConvEncoder((1, 16, 16), 3, width=8, features=4), (
        torch.randn(3, 1, 16, 16),
        torch.randn(3, 4),
    )


def _decoder() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return ConvDecoder(3, (1, 16, 16), width=8, features=4), (torch.randn(3, 3), torch.randn(3, 4))


def _resnet() -> tuple[nn.Module, tuple[Tensor, ...]]:
    network = ResNet(1, 1, width=8, depth=3, patch=2, features=4)
    return network, (torch.randn(3, 1, 8, 8), torch.randn(3, 4))


def _transformer() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return Transformer(8, 2, transformer_block(2)), (torch.randn(3, 5, 8),)


class _Normed(nn.Module):
    """A chain of maps and batch norms."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Tanh()) for _ in range(3)
        )

    def forward(self, x: Float[Tensor, "batch 4"]) -> Float[Tensor, "batch 4"]:
        """The end of the chain."""
        for block in self.blocks:
            x = block(x)
        return x


def _batch_norm() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return _Normed(), (torch.randn(6, 4),)


BACKBONES: dict[str, Callable[[], tuple[nn.Module, tuple[Tensor, ...]]]] = {
    "mlp": _mlp,
    "unet": _unet,
    "conv-encoder": _encoder,
    "conv-decoder": _decoder,
    "resnet": _resnet,
    "transformer": _transformer,
    "batch-norm": _batch_norm,
}


def _gradients(model: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """Of all weights, and the buffers after a step, which began as they stood."""
    torch.manual_seed(seed(1))
    model.zero_grad()
    before = {name: value.clone() for name, value in model.named_buffers()}
    y = model(*inputs)
    (y[0] if isinstance(y, tuple) else y).square().sum().backward()
    found = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    found += [value.clone() for value in model.buffers()]
    for name, value in model.named_buffers():
        value.copy_(before[name])
    return found


def backbone_is_bit_equal(name: str) -> float:
    """Gradients that differ, over segments of one, segments of all and saved products."""
    with seeded():
        model, inputs = BACKBONES[name]()
        for parameter in model.parameters():  # maps that start at zero would hide the rest
            nn.init.normal_(parameter, std=0.3)
        _dropped(model)
        blocks = once(blocks_of(model), lambda: model(*inputs))
        plain = _gradients(model, inputs)
        wrong = 0.0 if blocks else inf
        for contexts in ({}, {"contexts": save_products}):
            with recompute(blocks, uniform(len(blocks), len(blocks)), **contexts):
                wrong += gap(_gradients(model, inputs), plain)
        if name == "mlp":
            with recompute(blocks, uniform(len(blocks), 2)):
                wrong += gap(_gradients(model, inputs), plain)
    return wrong


# --- the planner -------------------------------------------------------------------------------


def costs_of(stream: int, n: int) -> list[Cost]:
    """Costs of so many blocks, drawn."""
    draw = numbers(stream)
    return [
        Cost(
            saved=int(draw.integers(1, 30)),
            boundary=int(draw.integers(1, 6)),
            seconds=float(draw.integers(1, 9)),
            gradients=int(draw.integers(0, 4)),
            work=int(draw.integers(0, 8)),
        )
        for _ in range(n)
    ]


def every_plan(n: int) -> Iterator[list[Segment]]:
    """Every way to cut a chain and to keep or recompute what is cut."""
    for marks in product((False, True), repeat=n - 1):
        edges = [0, *(i + 1 for i, cut in enumerate(marks) if cut), n]
        parts = list(pairwise(edges))
        for kept in product((False, True), repeat=len(parts)):
            if all(again or b - a == 1 for (a, b), again in zip(parts, kept, strict=True)):
                yield [Segment(a, b, again) for (a, b), again in zip(parts, kept, strict=True)]


def plan_is_optimal() -> float:
    """The plan is the best of all plans of a chain, at every budget."""
    worst = 0.0
    for stream in range(4):
        costs = costs_of(stream, 7)
        every = [(peak(costs, s), added_cost(costs, s)) for s in every_plan(7)]
        least = min(bytes_ for bytes_, _ in every)
        worst = largest(worst, gap(peak(costs, least_memory(costs)), least))
        for memory in np.linspace(least, max(bytes_ for bytes_, _ in every), 7):
            best = min(seconds for bytes_, seconds in every if bytes_ <= memory)
            found = plan(costs, float(memory))
            over = peak(costs, found) - memory
            worst = largest(worst, over, gap(added_cost(costs, found), best))
    return worst


# --- the reversible stack ----------------------------------------------------------------------


def reversible_is_plain() -> float:
    """A reversible stack has the gradients of the plain one, and an inverse."""
    with seeded():
        pairs = [
            (nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Dropout(DROP)), nn.Linear(4, 4))
            for _ in range(5)
        ]
        stack = Reversible(pairs).double()
        x1, x2 = (torch.randn(3, 4).double().requires_grad_() for _ in range(2))

        def gradients(run: Callable[..., tuple[Tensor, Tensor]]) -> list[Tensor]:
            torch.manual_seed(seed(1))
            y1, y2 = run(x1, x2)
            total = (y1.sin() + y2.square()).sum()
            return list(torch.autograd.grad(total, [x1, x2, *stack.parameters()]))

        found, expected = gradients(stack), gradients(stack.plain)
        errors = [gap(a, b) for a, b in zip(found, expected, strict=True)]
        stack.eval()
        back = stack.inverse(*stack(x1, x2))
        errors += [gap(a, b) for a, b in zip(back, (x1, x2), strict=True)]
    return largest(errors)


_LAWS: Rows = {
    "enumeration": [
        ("recompute/plan", 1e-9, plan_is_optimal),
    ],
    "self-consistency": [
        ("recompute/reversible", 1e-12, reversible_is_plain),
    ],
}

LAWS: list[Law] = [
    *table(_LAWS),
    *(
        Law(
            f"recompute/gradients-{name}",
            "recomputed gradients equal the plain ones bit for bit, dropout included",
            0.0,
            partial(backbone_is_bit_equal, name),
            oracle="self-consistency",
        )
        for name in BACKBONES
    ),
]
