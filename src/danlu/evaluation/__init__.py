"""Evaluation: metrics in named feature spaces, yardsticks, and what a race found."""

from danlu.evaluation.metrics import METRICS

__all__ = ["METRICS"]
