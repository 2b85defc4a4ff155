"""Losses with any number of right classes."""

from danlu.contracts import Method
from danlu.losses.multilabel.binary import Asymmetric, BinaryCrossEntropy, Focal
from danlu.losses.multilabel.linear import linear_zlpr
from danlu.losses.multilabel.loss import MultiLabelLoss
from danlu.losses.multilabel.pairwise import Pairwise
from danlu.losses.multilabel.several import SeveralCentred, SeveralPairwise
from danlu.losses.multilabel.subset import SubsetSoftmax
from danlu.losses.multilabel.zlpr import ZLPR

MULTILABEL = {
    "zlpr": Method(
        ZLPR, ("arXiv:2208.02955", "kexue.fm/archives/7359", "kexue.fm/archives/9064"), ZLPR
    ),
    "pairwise": Method(Pairwise, ("kexue.fm/archives/7359", "arXiv:2002.10857 eq. 1"), Pairwise),
    "binary-cross-entropy": Method(
        BinaryCrossEntropy,
        ("Cox, The regression analysis of binary sequences (1958)",),
        BinaryCrossEntropy,
    ),
    "focal": Method(Focal, ("arXiv:1708.02002 eq. 5",), Focal),
    "asymmetric": Method(Asymmetric, ("arXiv:2009.14119 eq. 4",), Asymmetric),
    "subset-softmax": Method(SubsetSoftmax, ("kexue.fm/archives/7359",), SubsetSoftmax),
    "several-pairwise": Method(SeveralPairwise, ("kexue.fm/archives/9158",), SeveralPairwise),
    "several-centred": Method(SeveralCentred, ("kexue.fm/archives/9158",), SeveralCentred),
}

__all__ = [
    "MULTILABEL",
    "ZLPR",
    "Asymmetric",
    "BinaryCrossEntropy",
    "Focal",
    "MultiLabelLoss",
    "Pairwise",
    "SeveralCentred",
    "SeveralPairwise",
    "SubsetSoftmax",
    "linear_zlpr",
]
