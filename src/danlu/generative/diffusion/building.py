"""What builders of diffusion families share: sizes of a network, and parts that may be changed."""

from collections.abc import Callable
from typing import TypeVar

from danlu.contracts import DataDescription
from danlu.generative.diffusion.model import DiffusionModel
from danlu.generative.diffusion.networks import ConditionedNetwork, proportioned
from danlu.generative.diffusion.parts import Parts
from danlu.generative.tiny import TINY

Kind = TypeVar("Kind", bound=DiffusionModel)


def builder(
    model: Callable[..., Kind], trained_by: Parts, *, values: int = 1
) -> Callable[..., Kind]:
    """What builds a family that is a network and its parts.

    Args:
        model: the family's class.
        trained_by: its parts, unless it is asked for others.
        values: that the network gives for each number of the data.
    """

    def build(
        description: DataDescription = TINY,
        *,
        width: int = 16,
        levels: int = 1,
        blocks: int = 1,
        patch: int = 1,
        network: str = "unet",
        parts: str = "",
    ) -> Kind:
        """The family for the described data; `parts` changes what it is trained by."""
        size = proportioned(
            description, width=width, levels=levels, blocks=blocks, patch=patch, network=network
        )
        made = ConditionedNetwork(description, size, values=values)
        return model(description, made, trained_by.changed(parts))

    return build
