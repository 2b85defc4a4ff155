"""A feature space: where samples and held-out data are compared."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

CHUNK = 500


class FeatureSpace:
    """A named map from examples to features, known by the hash of what computes them.

    Attributes:
        name: short; it follows the `@` in the key of a metric.
        hash: of the network's weights; tells two spaces of one name apart.
        title: what the space is, for the report.
        accuracy: of its classifier on the validation split, or None.
        seconds: spent on making it in this process.
        labels: whether it has a classifier.
        unkept: why its network could not be kept for the next time; empty where it was.
    """

    def __init__(
        self,
        name: str,
        hash: str,  # noqa: A002
        embed: Callable[[Tensor], Tensor],
        *,
        title: str,
        classify: Callable[[Tensor], Tensor] | None = None,
        accuracy: float | None = None,
        seconds: float = 0.0,
    ) -> None:
        self.name = name
        self.hash = hash
        self.title = title
        self.accuracy = accuracy
        self.seconds = seconds
        self.labels = classify is not None
        self.unkept = ""
        self._embed = embed
        self._classify = classify

    @torch.no_grad()
    def features(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch features"]:
        """Features of examples on the scale of the data, in chunks."""
        return torch.cat([self._embed(part) for part in x.split(CHUNK)])

    @torch.no_grad()
    def logits(
        self, features: Float[Tensor, "batch features"]
    ) -> Float[Tensor, "batch classes"] | None:
        """Class scores from features, or None where the space has no classifier."""
        return None if self._classify is None else self._classify(features)

    def facts(self) -> dict[str, str | float | None]:
        """What the results file keeps of the space."""
        return {
            "name": self.name,
            "title": self.title,
            "hash": self.hash,
            "accuracy": self.accuracy,
            "seconds": self.seconds,
        }
