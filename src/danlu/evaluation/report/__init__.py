"""The report: one offline page that answers first and then shows everything behind the answer."""

from danlu.evaluation.report.page import write_report

__all__ = ["write_report"]
