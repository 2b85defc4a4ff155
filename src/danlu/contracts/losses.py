"""What a training step minimises: a total, and named parts for the log and for blame."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Losses:
    """A scalar total with the named scalar terms behind it (nats unless a part says otherwise).

    Attributes:
        total: what is minimised, a mean over examples.
        parts: terms that are means over examples as well: those of the parts of a batch, weighted
            by their size, add up to those of the whole.
        figures: what is logged beside them and does not add up, such as a perplexity; of a batch
            in parts those of the first part are logged.
    """

    total: Float[Tensor, ""]
    parts: Mapping[str, Float[Tensor, ""]]
    figures: Mapping[str, Float[Tensor, ""]] = field(default_factory=dict)

    @classmethod
    def of(cls, **parts: Float[Tensor, ""]) -> "Losses":
        """The losses whose total is the plain sum of the named parts."""
        return cls(total=sum(parts.values()), parts=parts)  # type: ignore[arg-type]
