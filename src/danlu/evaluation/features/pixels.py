"""The space `pixels`: the values themselves, flattened; for points in the plane, coordinates."""

from jaxtyping import Float
from torch import Tensor

from danlu.data import Source
from danlu.evaluation.features.space import FeatureSpace


def pixel_space(source: Source) -> FeatureSpace:
    """The values of an example as its features."""
    title = "pixel values" if source.description.is_image else "coordinates"
    return FeatureSpace("pixels", "values", flatten, title=title)


def flatten(x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch features"]:
    """All values of an example in one row."""
    return x.flatten(1)
