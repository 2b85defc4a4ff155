"""Recomputing where a pass changes buffers: gradients, and the buffers after it, to the bit."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from danlu.laws.gaps import gap, largest
from danlu.laws.law import Law
from danlu.layers.recompute import Reversible, recompute, save_products, uniform

DIM = 6


class Drifting(nn.Module):
    """A map scaled by a buffer of its own that every pass moves."""

    def __init__(self, persistent: bool = True) -> None:
        super().__init__()
        self.map = nn.Linear(DIM, DIM)
        self.register_buffer("scale", torch.ones(()), persistent=persistent)

    def forward(self, x: Tensor) -> Tensor:
        """The scaled map; a new tensor takes the buffer's place."""
        self.scale = 0.7 * self.get_buffer("scale") + 0.1 * x.detach().square().mean()
        return self.map(x) * self.scale


def _spectral() -> nn.Module:
    return spectral_norm(nn.Linear(DIM, DIM))


def _old_spectral() -> nn.Module:
    return torch.nn.utils.spectral_norm(nn.Linear(DIM, DIM))


PARTS: dict[str, Callable[[], nn.Module]] = {
    "spectral-norm": _spectral,
    "old-spectral-norm": _old_spectral,
    "batch-norm": lambda: nn.Sequential(nn.Linear(DIM, DIM), nn.BatchNorm1d(DIM)),
    "own-buffers": Drifting,
    "unsaved-buffers": partial(Drifting, persistent=False),
}


def _seen(model: nn.Module, x: Tensor, run: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Output, gradients and buffers of two steps, from the buffers that stand now."""
    before = [buffer.clone() for buffer in model.buffers()]
    found = []
    for _ in range(2):
        model.zero_grad()
        given = x.clone().requires_grad_()
        y = run(given)
        y.sin().sum().backward()
        assert given.grad is not None
        found += [y.detach().clone(), given.grad.clone()]
        found += [p.grad.clone() for p in model.parameters() if p.grad is not None]
        found += [buffer.clone() for buffer in model.buffers()]
    for buffer, value in zip(model.buffers(), before, strict=True):
        buffer.copy_(value)
    return found


def chained(part: Callable[[], nn.Module]) -> float:
    """Largest difference of a recomputed chain from a plain one."""
    blocks = [nn.Sequential(part(), nn.Tanh()) for _ in range(4)]
    model = nn.Sequential(*blocks).double().train()
    x, worst = torch.randn(5, DIM, dtype=torch.float64), 0.0
    plain = _seen(model, x, model)
    for pieces in (4, 2):
        for contexts in ({}, {"contexts": save_products}):
            with recompute(blocks, uniform(4, pieces), **contexts):
                worst = largest(worst, gap(_seen(model, x, model), plain))
    return worst


def reversed_(part: Callable[[], nn.Module]) -> float:
    """Largest difference of a reversible stack from its plain form, whose halves are rounded."""
    stack = Reversible([(part(), part()) for _ in range(3)]).double().train()
    x = torch.randn(5, 2 * DIM, dtype=torch.float64)
    found, plain = (
        _seen(stack, x, lambda h, run=run: torch.cat(run(*h.chunk(2, dim=1)), dim=1))
        for run in (stack, stack.plain)
    )
    return gap(found, plain)


LAWS: list[Law] = [
    law
    for name, part in PARTS.items()
    for law in (
        Law(
            f"recompute/{name}/chain",
            "gradients and buffers are those of the plain chain, to the bit",
            0.0,
            partial(chained, part),
            oracle="definition",
        ),
        Law(
            f"recompute/{name}/reversible",
            "gradients and buffers are those of the plain stack",
            1e-9,
            partial(reversed_, part),
            oracle="definition",
        ),
    )
]
