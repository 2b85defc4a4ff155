"""Metrics: what a set of samples is worth, each with its source, its better way and its noise."""

from danlu.contracts import Method
from danlu.evaluation.metrics.class_agreement import ClassAgreement
from danlu.evaluation.metrics.density_coverage import Coverage, Density
from danlu.evaluation.metrics.frechet import Frechet
from danlu.evaluation.metrics.kid import KID
from danlu.evaluation.metrics.mode_coverage import HighQuality, ModesHit
from danlu.evaluation.metrics.neighbour_distance import NeighbourDistance
from danlu.evaluation.metrics.precision_recall import Precision, Recall
from danlu.evaluation.metrics.sharpness import Sharpness
from danlu.evaluation.metrics.sliced_wasserstein import SlicedWasserstein
from danlu.evaluation.metrics.wasserstein import Wasserstein

# In the order of the report's columns.
METRICS = {
    "frechet": Method(Frechet, ("arXiv:1706.08500",), Frechet),
    "kid": Method(KID, ("arXiv:1801.01401", "arXiv:0805.2368"), KID),
    "sliced-wasserstein": Method(SlicedWasserstein, ("arXiv:1803.11188",), SlicedWasserstein),
    "wasserstein": Method(Wasserstein, ("arXiv:1803.00567",), Wasserstein),
    "precision": Method(Precision, ("arXiv:1904.06991",), Precision),
    "recall": Method(Recall, ("arXiv:1904.06991",), Recall),
    "density": Method(Density, ("arXiv:2002.09797",), Density),
    "coverage": Method(Coverage, ("arXiv:2002.09797",), Coverage),
    "class-agreement": Method(ClassAgreement, ("arXiv:1807.09499",), ClassAgreement),
    "modes-hit": Method(ModesHit, ("arXiv:1705.07761",), ModesHit),
    "high-quality": Method(HighQuality, ("arXiv:1705.07761",), HighQuality),
    "sharpness": Method(Sharpness, ("arXiv:2003.01826",), Sharpness),
    "neighbour-distance": Method(NeighbourDistance, ("arXiv:2004.05675",), NeighbourDistance),
}
