r"""What is drawn from the probabilities of the next id: temperature, top-k, top-p.

With logits $l$ and temperature $\tau$, ids are drawn in proportion to $e^{l_i / \tau}$ among those
that are kept: the $k$ likeliest, and of these the fewest likeliest whose probabilities together
reach $p$ (the nucleus). Among equal ones the lower id comes first. Temperature 0 takes the
likeliest. An id is the place of a uniform number on the line of cumulative probabilities, so that
the same number gives the same id, however many are drawn side by side.

Sources: arXiv:1805.04833 §5.4 (top-k); arXiv:1904.09751 §3.1 (top-p).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from danlu.contracts import DanluError


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoregressiveOptions:
    """What is drawn from the probabilities of the next id.

    Attributes:
        temperature: divides the logits; below 1 the likely becomes more so, 0 takes the likeliest.
        top_k: only so many of the likeliest ids; None for all.
        top_p: only the likeliest ids that together have this probability.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise DanluError(f"temperature must be 0 or more, got {self.temperature}.")
        if self.top_k is not None and self.top_k < 1:
            raise DanluError(f"top_k must be at least 1, got {self.top_k}.")
        if not 0 < self.top_p <= 1:
            raise DanluError(f"top_p must be above 0 and at most 1, got {self.top_p}.")


def allowed(
    logits: Float[Tensor, "batch levels"], options: AutoregressiveOptions
) -> Float[Tensor, "batch levels"]:
    """The probabilities to draw from."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if options.temperature == 0:
        return torch.zeros_like(logits).scatter(1, logits.argmax(1, keepdim=True), 1.0)
    probabilities = (logits / options.temperature).softmax(1)
    if options.top_k is None and options.top_p == 1:
        return probabilities
    ordered, place = probabilities.sort(dim=1, descending=True, stable=True)
    if options.top_k is not None:
        ordered = ordered.index_fill(1, _beyond(options.top_k, ordered), 0.0)
        ordered = ordered / ordered.sum(1, keepdim=True)
    # An id stays while those likelier than it have less than top_p; the likeliest always stays.
    ordered = ordered.masked_fill(ordered.cumsum(1) - ordered >= options.top_p, 0.0)
    probabilities = torch.zeros_like(probabilities).scatter(1, place, ordered)
    return probabilities / probabilities.sum(1, keepdim=True)


def _beyond(kept: int, ordered: Tensor) -> Int[Tensor, " rest"]:
    """The places behind the first ones."""
    return torch.arange(min(kept, ordered.shape[1]), ordered.shape[1], device=ordered.device)


def pick(
    probabilities: Float[Tensor, "batch levels"], uniform: Float[Tensor, " batch"]
) -> Int[Tensor, " batch"]:
    """The id at each uniform number, by the inverse of the cumulative distribution."""
    cumulative = probabilities.cumsum(1)
    point = uniform.to(cumulative.dtype)[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, point, right=True)[:, 0].clamp(
        max=cumulative.shape[1] - 1
    )
