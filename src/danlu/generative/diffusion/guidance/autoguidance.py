r"""Autoguidance: extrapolate from a bad version of a model to the model itself.

$D = D_b + s\,(D - D_b)$ with $D_b$ a smaller, or less trained, model of the same data under the
same condition. Where both err in the same direction the bad one errs more, so that going on past
the good one mends its errors; diversity is kept, and no condition is needed.

Use it when you have an early checkpoint or a small network beside the model.

Sources: arXiv:2406.02507 eq. 3 and §4.
"""

from danlu.generative.diffusion.guidance.classifier_free import ClassifierFree


class Autoguidance(ClassifierFree):
    """From a bad denoiser past a good one; two evaluations unless s is 0 or 1.

    Args:
        base: the bad denoiser, under the same condition.
        scale: s.
    """
