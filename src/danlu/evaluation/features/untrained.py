"""The space `random`: features of an untrained network, for images without classes.

The network of the classifier with weights drawn from a fixed seed: its features see edges and
texture but know nothing of what the images show, so distances in it are coarse.

Source: arXiv:2208.09218 compares such features with trained ones.
"""

from danlu.data import Source
from danlu.evaluation.features.cache import weight_hash
from danlu.evaluation.features.network import FeatureNetwork
from danlu.evaluation.features.space import FeatureSpace

SEED = 0


def random_space(source: Source) -> FeatureSpace:
    """Random convolutional features; only their common scale depends on the data."""
    network = FeatureNetwork.seeded(SEED, source.description.shape, classes=1)
    network.settle(source.training)
    return FeatureSpace(
        "random",
        weight_hash(network.state_dict()),
        network.features,
        title="untrained convolutional network of fixed seed",
    )
