"""The loop, its budget and plan, checkpoints, resume, logs and speed policies."""

from danlu.optim.plan import Plan
from danlu.training.budget import Budget
from danlu.training.hooks import Hook, Outcome, Status, Training, TrainingRun
from danlu.training.loop import Trainer
from danlu.training.policy import Policy
from danlu.training.trainable import Trainable

__all__ = [
    "Budget",
    "Hook",
    "Outcome",
    "Plan",
    "Policy",
    "Status",
    "Trainable",
    "Trainer",
    "Training",
    "TrainingRun",
]
