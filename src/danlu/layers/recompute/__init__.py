"""Recompute (gradient checkpointing): trade a second forward for the memory of a first one."""

from danlu.layers.recompute.costs import Cost, measure
from danlu.layers.recompute.planner import (
    Segment,
    added_cost,
    least_memory,
    peak,
    plan,
    save_all,
    uniform,
)
from danlu.layers.recompute.recomputation import Recomputation, recompute, save_products
from danlu.layers.recompute.reversible import Reversible
from danlu.layers.recompute.revolve import least_steps, revolve

__all__ = [
    "Cost",
    "Recomputation",
    "Reversible",
    "Segment",
    "added_cost",
    "least_memory",
    "least_steps",
    "measure",
    "peak",
    "plan",
    "recompute",
    "revolve",
    "save_all",
    "save_products",
    "uniform",
]
