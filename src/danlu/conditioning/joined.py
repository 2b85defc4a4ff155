"""Several conditions at once: their vectors add up, their tokens stand one after the other."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from typing_extensions import override

from danlu.conditioning.conditioner import Conditioner
from danlu.contracts import Condition, DanluError, Features


class Joined(Conditioner):
    """Conditioners of one size, each of its own part of a condition."""

    def __init__(self, parts: Sequence[Conditioner]) -> None:
        super().__init__(parts[0].dim)
        self.parts = nn.ModuleList(parts)

    @property
    @override
    def memory(self) -> int:
        return max(cast(Conditioner, part).memory for part in self.parts)

    @override
    def forward(self, condition: Condition | None, n: int) -> Features:
        told: list[Condition | None] = [None] * len(self.parts)
        if condition is not None:
            if not isinstance(condition.values, tuple) or len(condition.values) != len(told):
                raise DanluError(f"A condition of {len(told)} parts is expected.")
            whole = condition.given
            told = [one if whole is None else one.only(whole) for one in condition.values]
        found = [part(one, n) for part, one in zip(self.parts, told, strict=True)]
        vector = torch.stack([each.vector for each in found]).sum(0)
        read = [each for each in found if each.tokens is not None]
        if not read:
            return Features(vector)
        valid = [_all(each.tokens) if each.valid is None else each.valid for each in read]
        return Features(vector, torch.cat([each.tokens for each in read], 1), torch.cat(valid, 1))

    @override
    def silence(self) -> None:
        for part in self.parts:
            cast(Conditioner, part).silence()


def _all(tokens: torch.Tensor) -> torch.Tensor:
    return torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
