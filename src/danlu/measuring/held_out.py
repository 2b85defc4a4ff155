"""What every model of a race is measured against: held-out data and feature spaces."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from danlu.data import Examples, Source
from danlu.evaluation.features import FeatureSpace, feature_spaces
from danlu.evaluation.reference import Reference


@dataclass(frozen=True, kw_only=True, slots=True)
class Yard:
    """What every model is measured against.

    Attributes:
        source: the data.
        reference: the held-out split behind all figures.
        spaces: feature spaces by name.
        seed: of samples and estimates.
    """

    source: Source
    reference: Reference
    spaces: Mapping[str, FeatureSpace]
    seed: int = 0


def open_yard(
    source: Source,
    *,
    split: str = "test",
    extra: Path | None = None,
    seed: int = 0,
    trained: bool = True,
) -> Yard:
    """The reference and the feature spaces of a data set.

    Args:
        source: the data.
        split: the held-out split behind all figures.
        extra: a network of one's own.
        seed: of samples and estimates.
        trained: whether a classifier may be trained; without, an untrained network stands in.
    """
    spaces = feature_spaces(source if trained else unlabelled(source), extra)
    return Yard(source=source, reference=Reference.of(source, split), spaces=spaces, seed=seed)


def words_for_spaces(spaces: Mapping[str, FeatureSpace]) -> str:
    """The feature spaces with the accuracy and the hash of their networks."""
    words = []
    for space in spaces.values():
        known = [f"weights {space.hash}"]
        if space.accuracy is not None:
            known.insert(0, f"accuracy {space.accuracy:.2%} on the validation split")
        if space.seconds:
            known.append(f"trained in {space.seconds:.0f} s")
        if space.unkept:
            known.append(space.unkept)
        words.append(f"{space.name} ({', '.join(known)})")
    return f"features: {'; '.join(words)}"


def unlabelled(source: Source) -> Source:
    """The same data without its classes."""
    description = replace(source.description, condition=None)
    training = Examples(source.training.stored, None, description, source.training.rows)
    return replace(source, description=description, training=training)
