"""The space `pixels`: the values themselves, flattened; for points in the plane, coordinates.

Every figure in it is a plain statement about the data, with no network in between. For images it
sees tone and layout but not what is shown: an object moved by a pixel is far from itself, and a
blurred image is near to many. Read it beside a space of learned features.

Source: arXiv:1511.01844 on what distances between pixel values do not show.
"""

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
