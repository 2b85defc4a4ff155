"""Optimisers that see parameter names, schedules by fraction, weight averages."""

from danlu.optim.amos import Amos, AmosForm
from danlu.optim.averaging import PowerAverage
from danlu.optim.optimizers import OPTIMIZERS
from danlu.optim.options import OptimizerOptions
from danlu.optim.parameters import NamedParameter, Rule, named_parameters
from danlu.optim.scaled import AmosSchedule, ScaledUpdate, first_distance, scaled_update
from danlu.optim.scales import scale_of
from danlu.optim.schedules import SCHEDULES, Scheduled, schedule
from danlu.optim.state_size import state_bytes

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Amos",
    "AmosForm",
    "AmosSchedule",
    "NamedParameter",
    "OptimizerOptions",
    "PowerAverage",
    "Rule",
    "ScaledUpdate",
    "Scheduled",
    "first_distance",
    "named_parameters",
    "scale_of",
    "scaled_update",
    "schedule",
    "state_bytes",
]
