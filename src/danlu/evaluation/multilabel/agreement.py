r"""Agreement of predicted sets of classes with the right ones.

With right $t$ and predicted $p$ in {0, 1}: the Hamming loss is the share of wrong decisions; the
subset accuracy the share of examples without one; F1 $= 2\sum tp / (\sum t + \sum p)$, with
sums over everything (micro), over each class and then averaged (macro), or over each example and
then averaged. Where nothing is right and nothing predicted there is no F1, and it is left out.

When to use them: micro F1 follows the frequent classes, macro F1 the rare ones; Hamming loss says
little where nearly all classes are wrong.

Source: Zhang and Zhou, A review on multi-label learning algorithms (2014), section 2.2.
"""

from jaxtyping import Bool, Float
from torch import Tensor

Scores = Float[Tensor, "n classes"]
Sets = Bool[Tensor, "n classes"]


def hamming_loss(scores: Scores, predicted: Sets, right: Sets) -> float:
    """Share of wrong decisions; lower is better."""
    return (predicted != right).double().mean().item()


def subset_accuracy(scores: Scores, predicted: Sets, right: Sets) -> float:
    """Share of examples with exactly the right classes."""
    return (predicted == right).all(1).double().mean().item()


def micro_f1(scores: Scores, predicted: Sets, right: Sets) -> float:
    """F1 of all decisions together."""
    return _f1(predicted.flatten()[None], right.flatten()[None])


def macro_f1(scores: Scores, predicted: Sets, right: Sets) -> float:
    """Mean over classes of their F1."""
    return _f1(predicted.T, right.T)


def example_f1(scores: Scores, predicted: Sets, right: Sets) -> float:
    """Mean over examples of their F1."""
    return _f1(predicted, right)


def _f1(predicted: Tensor, right: Tensor) -> float:
    """Mean over rows."""
    both = (predicted & right).sum(1).double()
    sizes = (predicted.sum(1) + right.sum(1)).double()
    return (2 * both / sizes)[sizes > 0].mean().item()
