"""Feature spaces: where samples and held-out data are compared.

Every distance carries the name of its space, and the results file the hash of its network.
"""

from pathlib import Path

from danlu.contracts import DanluError, Method
from danlu.data import Source
from danlu.data.digits import digits
from danlu.evaluation.features.classifier import Recipe, accuracy_of, classifier_space
from danlu.evaluation.features.exported import content_of, from_file
from danlu.evaluation.features.pixels import pixel_space
from danlu.evaluation.features.space import FeatureSpace
from danlu.evaluation.features.untrained import random_space

__all__ = ["SPACES", "FeatureSpace", "accuracy_of", "content_of", "feature_spaces", "from_file"]

SPACES = {
    "pixels": Method(pixel_space, ("arXiv:1511.01844",), lambda: pixel_space(digits())),
    "classifier": Method(
        classifier_space,
        ("arXiv:1706.08500", "arXiv:1708.07120"),
        lambda: classifier_space(digits(), Recipe(most_examples=1280)),
    ),
    "random": Method(random_space, ("arXiv:2208.09218",), lambda: random_space(digits())),
}


def feature_spaces(source: Source, extra: Path | None = None) -> dict[str, FeatureSpace]:
    """The spaces that suit a data set, by name, and one from a file.

    Images with classes get `classifier` (trained on their training split now, unless it is kept
    on disk), images without classes `random`; all data gets `pixels`.
    """
    description = source.description
    spaces = []
    if description.is_image:
        labelled = source.training.ids is not None and description.classes > 1
        spaces.append((classifier_space if labelled else random_space)(source))
    spaces.append(pixel_space(source))
    if extra is not None:
        if extra.stem in SPACES:
            raise DanluError(
                f"A feature network must not be called {extra.stem!r}; rename {extra}."
            )
        spaces.append(from_file(extra, description))
    return {space.name: space for space in spaces}
