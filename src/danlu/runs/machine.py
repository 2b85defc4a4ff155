"""The machine in words and facts: for the first line of a run, and for a report."""

import os
from typing import Any

import torch

from danlu.training import Policy
from danlu.training.policy import Environment, chosen_device, describe


def device_line(device: str) -> str:
    """Which device this is, for the first line of a run.

    Raises:
        DanluError: the device is not here.
    """
    name = chosen_device(device)
    facts = Environment.here(Policy(device=name))
    where = _gpu_name(name) if name.startswith("cuda") else facts.processor
    return f"device: {name} ({where}), torch {facts.torch}"


def machine_facts(policy: Policy) -> dict[str, Any]:
    """What a report says of the machine."""
    facts = Environment.here(policy)
    return {
        "device": describe(policy),
        "processor": facts.processor,
        "cores": os.cpu_count(),
        "torch": facts.torch,
        "python": facts.python,
        "system": facts.system,
    }


def _gpu_name(device: str) -> str:
    return torch.cuda.get_device_name(torch.device(device))
