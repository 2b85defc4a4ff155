"""What a training step minimises: a total, and named parts for the log and for blame."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Losses:
    """A scalar total with the named scalar terms behind it (nats unless a part says otherwise)."""

    total: Float[Tensor, ""]
    parts: Mapping[str, Float[Tensor, ""]]

    @classmethod
    def of(cls, **parts: Float[Tensor, ""]) -> "Losses":
        """The losses whose total is the plain sum of the named parts."""
        return cls(total=sum(parts.values()), parts=parts)  # type: ignore[arg-type]
