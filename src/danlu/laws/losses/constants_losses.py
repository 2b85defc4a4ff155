"""Constants of losses of several labels, beside the numbers of their sources."""

from danlu.laws.constants import golden_law
from danlu.laws.law import Law
from danlu.losses.multilabel.binary import Asymmetric, Focal
from danlu.losses.multilabel.pairwise import Pairwise
from danlu.losses.multilabel.zlpr import ZLPR

LAWS: list[Law] = [
    golden_law(
        "multilabel/constants",
        "losses of several labels start from the numbers of their sources",
        [
            (
                "focal, arXiv:1708.02002 §5.1: gamma = 2 with alpha = 0.25",
                lambda: [Focal().gamma, Focal().alpha],
                [2.0, 0.25],
            ),
            (
                "asymmetric, arXiv:2009.14119 and its authors' code: 1, 4 and 0.05",
                lambda: [Asymmetric().gamma_right, Asymmetric().gamma_wrong, Asymmetric().cut],
                [1.0, 4.0, 0.05],
            ),
            (
                "pairwise, kexue.fm/archives/7359: no margin, scale 1",
                lambda: [Pairwise().scale, Pairwise().margin],
                [1.0, 0.0],
            ),
            ("ZLPR, arXiv:2208.02955: predicts above 0", lambda: ZLPR().threshold, 0.0),
        ],
    ),
]
