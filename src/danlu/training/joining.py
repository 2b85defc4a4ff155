"""Joins the processes that `torchrun` has started; without it there is one.

After a crash the agent starts all processes again, with the same store of addresses: those of the
dead ones must not be read, so every start has a prefix of its own there.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from danlu.training.processes import Processes, ReplicatedProcesses, SingleProcess

TIMEOUT = timedelta(hours=1)
"""How long a process waits for the others; the leader may be drawing pictures meanwhile."""


def world_size() -> int:
    """How many processes were started together."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def restarts() -> int:
    """How many times `torchrun` has started this process again after a crash."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


@contextmanager
def joined(device: str = "auto") -> Iterator[Processes]:
    """The group of this process: NCCL between GPUs where each process has its own, else gloo.

    Args:
        device: `cpu` leaves the GPUs alone; otherwise each process takes the GPU of its number.
    """
    if world_size() == 1:
        yield SingleProcess()
        return
    store, rank, world = next(iter(dist.rendezvous("env://", timeout=TIMEOUT)))  # pyright: ignore
    store = dist.PrefixStore(f"start-{restarts()}", store)  # pyright: ignore
    backend = _backend(device)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=TIMEOUT)
    try:
        yield ReplicatedProcesses()
    finally:
        dist.destroy_process_group()


def _backend(device: str) -> str:
    if device == "cpu" or not torch.cuda.is_available():
        return "gloo"
    gpus = torch.cuda.device_count()
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % gpus)
    # NCCL refuses two processes on one GPU; numbers that are agreed upon are on the CPU.
    own = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) <= gpus
    return "cpu:gloo,cuda:nccl" if own else "gloo"
