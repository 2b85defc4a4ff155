"""Element-wise transforms of couplings, each under the contract of `transform`."""

from danlu.contracts import Method
from danlu.generative.parts.transforms.additive import Additive
from danlu.generative.parts.transforms.affine import Affine
from danlu.generative.parts.transforms.transform import Transform

TRANSFORMS = {
    "affine": Method(Affine, ("arXiv:1605.08803",), Affine),
    "additive": Method(Additive, ("arXiv:1410.8516",), Additive),
}

__all__ = ["TRANSFORMS", "Additive", "Affine", "Transform"]
