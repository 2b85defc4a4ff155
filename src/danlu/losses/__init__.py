"""Losses: what a decoder's output means, what critic and generator minimise, many labels."""

from danlu.contracts import DataDescription, DataKind, Method, unknown
from danlu.losses.divergences import (
    HINGE,
    LEAST_SQUARES,
    MINIMAX,
    NON_SATURATING,
    RELATIVISTIC,
    WASSERSTEIN_GP,
    Divergence,
)
from danlu.losses.likelihoods import DiscretisedLogistic, Gaussian, Likelihood
from danlu.losses.multilabel import (
    MULTILABEL,
    ZLPR,
    Asymmetric,
    BinaryCrossEntropy,
    Focal,
    MultiLabelLoss,
    Pairwise,
    SeveralCentred,
    SeveralPairwise,
    SubsetSoftmax,
    linear_zlpr,
)

_GREY = DataDescription(kind=DataKind.IMAGE, shape=(1, 2, 2), levels=4, low=-1.0, high=1.0)
_PLANE = DataDescription(shape=(2,), levels=None, low=-3.0, high=3.0)

LIKELIHOODS = {
    "discretised-logistic": Method(
        DiscretisedLogistic, ("arXiv:1701.05517",), lambda: DiscretisedLogistic(_GREY)
    ),
    "gaussian": Method(Gaussian, ("arXiv:1312.6114",), lambda: Gaussian(_PLANE)),
}


def likelihood_of(description: DataDescription, name: str = "auto") -> Likelihood:
    """A row of LIKELIHOODS for the described data, by name; auto by its levels.

    Raises:
        DanluError: nobody knows the name.
    """
    if name == "auto":
        name = "gaussian" if description.levels is None else "discretised-logistic"
    if name not in LIKELIHOODS:
        raise unknown("likelihood", name, LIKELIHOODS)
    return LIKELIHOODS[name].target(description)


DIVERGENCES = {
    "minimax": Method(MINIMAX, ("arXiv:1406.2661",), lambda: MINIMAX),
    "non-saturating": Method(
        NON_SATURATING, ("arXiv:1406.2661", "arXiv:1801.04406"), lambda: NON_SATURATING
    ),
    "least-squares": Method(LEAST_SQUARES, ("arXiv:1611.04076",), lambda: LEAST_SQUARES),
    "hinge": Method(HINGE, ("arXiv:1705.02894",), lambda: HINGE),
    "wasserstein-gp": Method(
        WASSERSTEIN_GP, ("arXiv:1701.07875", "arXiv:1704.00028"), lambda: WASSERSTEIN_GP
    ),
    "relativistic": Method(
        RELATIVISTIC, ("arXiv:1807.00734", "arXiv:2501.05441"), lambda: RELATIVISTIC
    ),
}

__all__ = [
    "DIVERGENCES",
    "HINGE",
    "LEAST_SQUARES",
    "LIKELIHOODS",
    "MINIMAX",
    "MULTILABEL",
    "NON_SATURATING",
    "RELATIVISTIC",
    "WASSERSTEIN_GP",
    "ZLPR",
    "Asymmetric",
    "BinaryCrossEntropy",
    "DiscretisedLogistic",
    "Divergence",
    "Focal",
    "Gaussian",
    "Likelihood",
    "MultiLabelLoss",
    "Pairwise",
    "SeveralCentred",
    "SeveralPairwise",
    "SubsetSoftmax",
    "likelihood_of",
    "linear_zlpr",
]
