"""All metrics of a set of samples against held-out data."""

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from danlu.contracts import DanluError, DataDescription, NonFiniteError
from danlu.evaluation.features.space import FeatureSpace
from danlu.evaluation.metrics import METRICS
from danlu.evaluation.metrics.cloud import Cloud
from danlu.evaluation.metrics.metric import Comparison, Metric, Need
from danlu.evaluation.reference import Reference
from danlu.evaluation.results import Measured


@torch.no_grad()
def score(
    samples: Float[Tensor, "batch ..."],
    sample_classes: Int[Tensor, " batch"] | None,
    reference: Reference,
    spaces: Mapping[str, FeatureSpace],
) -> dict[str, Measured]:
    """Every metric that applies, and that has as many examples as it needs.

    Args:
        samples: `[n, *shape]` on the scale of the data; images are clipped to its range.
        sample_classes: the class each sample was asked to be, or None.
        reference: held-out data.
        spaces: feature spaces by name; "pixels" must be among them.

    Returns:
        Figures by key: a name of `METRICS`, followed by `@space` where it depends on the
        feature space, such as `frechet@classifier`.

    Raises:
        DanluError: no samples, another shape than the data's, or no pixel space.
        NonFiniteError: the samples hold NaN or infinity.
    """
    samples = prepared(samples, reference.description)
    if "pixels" not in spaces:
        raise DanluError(f"score needs the space 'pixels', got {', '.join(spaces) or 'none'}.")
    comparisons = {
        name: Comparison(samples, sample_classes, reference, space, Cloud(space.features(samples)))
        for name, space in spaces.items()
    }
    return {
        key: metric.measure(comparison)
        for key, metric, comparison in _applicable(comparisons)
        if comparison.size >= metric.least
    }


def needed(
    samples: Float[Tensor, "batch ..."],
    sample_classes: Int[Tensor, " batch"] | None,
    reference: Reference,
    spaces: Mapping[str, FeatureSpace],
) -> dict[str, int]:
    """The figures that `score` leaves out, and how many examples each needs on both sides."""
    nothing = Cloud(samples.flatten(1)[:0].float())
    comparisons = {
        name: Comparison(samples, sample_classes, reference, space, nothing)
        for name, space in spaces.items()
    }
    return {
        key: metric.least
        for key, metric, comparison in _applicable(comparisons)
        if comparison.size < metric.least
    }


def beyond_reach(held_out: int) -> str:
    """What so few held-out examples cannot measure, in words; empty where all can be."""
    by_least: dict[int, list[str]] = {}
    for method in METRICS.values():
        if method.target.least > held_out:
            by_least.setdefault(method.target.least, []).append(method.target.title)
    if not by_least:
        return ""
    words = "; ".join(
        f"{', '.join(titles)} (needs {least})" for least, titles in sorted(by_least.items())
    )
    return f"{held_out} held-out examples are too few to measure: {words}."


def _applicable(
    comparisons: dict[str, Comparison],
) -> Iterator[tuple[str, Metric, Comparison]]:
    """Every figure that the data has: its key, its metric, and where it is measured."""
    for name, method in METRICS.items():
        metric = method.target()
        for suffix, comparison in _places(metric, comparisons).items():
            if metric.applies(comparison):
                yield name + suffix, metric, comparison


def prepared(
    samples: Float[Tensor, "batch ..."], description: DataDescription
) -> Float[Tensor, "batch ..."]:
    """Checked samples in float32 on the CPU; images are clipped to the data's range."""
    if tuple(samples.shape[1:]) != description.shape:
        raise DanluError(
            f"Samples have shape {tuple(samples.shape[1:])}, the data {description.shape}."
        )
    if len(samples) == 0:
        raise DanluError("score needs at least one sample.")
    if not samples.isfinite().all():
        bad = int((~samples.isfinite()).flatten(1).any(1).sum())
        raise NonFiniteError(f"{bad} of {len(samples)} samples hold NaN or infinity.")
    samples = samples.detach().to("cpu", torch.float32)
    return samples.clamp(description.low, description.high) if description.is_image else samples


def metric_of(key: str) -> type[Metric]:
    """The metric behind a key such as `frechet@classifier`."""
    return METRICS[key.partition("@")[0]].target


def _places(metric: Metric, comparisons: dict[str, Comparison]) -> dict[str, Comparison]:
    """Where a metric is measured: the suffix of its key and the comparison."""
    if metric.needs is Need.FEATURES:
        return {f"@{name}": comparison for name, comparison in comparisons.items()}
    if metric.needs is Need.CLASSES:
        labelled = [c for c in comparisons.values() if c.space.labels]
        return {"": labelled[0]} if labelled else {}
    return {"": comparisons["pixels"]}
