"""Laws of the Gaussian with a full covariance."""

import torch
from danlu.generative.toy_family import ToyGaussian
from scipy.stats import multivariate_normal

from danlu.generative.tiny import TINY_VECTOR
from danlu.laws.draws import standard_normal
from danlu.laws.gaps import gap
from danlu.laws.law import Law


def _density() -> float:
    """Against scipy's, with a covariance that is multiplied out here."""
    model = ToyGaussian(TINY_VECTOR).double()
    with torch.no_grad():
        model.mean.copy_(standard_normal(2))
        model.raw.copy_(standard_normal(2, 2, stream=1))
        lower = model.raw.tril(-1) + model.raw.diagonal().exp().diag()
        x = standard_normal(5, 2, stream=2)
        exact = multivariate_normal(model.mean.numpy(), (lower @ lower.T).numpy()).logpdf(x.numpy())
        return gap(model.normal().log_prob(x), torch.from_numpy(exact))


LAWS = [
    Law(
        "toy-family/density",
        "its density is that of the Gaussian with its mean and covariance",
        1e-12,
        _density,
        oracle="independent package",
    )
]
