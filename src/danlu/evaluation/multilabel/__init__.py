"""What multi-label predictions are worth: functions of scores, predicted sets and right sets."""

from danlu.contracts import Method
from danlu.evaluation.multilabel.agreement import (
    example_f1,
    hamming_loss,
    macro_f1,
    micro_f1,
    subset_accuracy,
)
from danlu.evaluation.multilabel.ranking import (
    label_ranking_precision,
    mean_average_precision,
    ranking_loss,
)

_REVIEW = ("Zhang and Zhou, A review on multi-label learning algorithms (2014), section 2.2",)

MULTILABEL_METRICS = {
    "mean-average-precision": Method(
        mean_average_precision, _REVIEW, lambda: mean_average_precision
    ),
    "label-ranking-precision": Method(
        label_ranking_precision, _REVIEW, lambda: label_ranking_precision
    ),
    "ranking-loss": Method(ranking_loss, _REVIEW, lambda: ranking_loss),
    "micro-f1": Method(micro_f1, _REVIEW, lambda: micro_f1),
    "macro-f1": Method(macro_f1, _REVIEW, lambda: macro_f1),
    "example-f1": Method(example_f1, _REVIEW, lambda: example_f1),
    "subset-accuracy": Method(subset_accuracy, _REVIEW, lambda: subset_accuracy),
    "hamming-loss": Method(hamming_loss, _REVIEW, lambda: hamming_loss),
}
