"""Optimisers that see parameter names, schedules by fraction, weight averages."""

from danlu.optim.averaging import PowerAverage
from danlu.optim.optimizers import OPTIMIZERS
from danlu.optim.options import OptimizerOptions
from danlu.optim.parameters import NamedParameter, Rule, named_parameters
from danlu.optim.schedules import SCHEDULES, Scheduled, schedule

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "NamedParameter",
    "OptimizerOptions",
    "PowerAverage",
    "Rule",
    "Scheduled",
    "named_parameters",
    "schedule",
]
