"""Joins the processes that `torchrun` has started; without it there is one.

After a crash the agents start all processes again, with the same store of addresses: those of the
dead ones must not be read, so every start has a prefix of its own there. No count that an agent
keeps can name the start, since each node's agent counts alone; the processes agree on a name.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import Store

from danlu.contracts import DanluError
from danlu.training.processes import Processes, ReplicatedProcesses, SingleProcess

TIMEOUT = timedelta(hours=1)
"""How long a process waits for the others; the leader may be drawing pictures meanwhile."""

PAUSE = 0.02
"""Seconds between two looks at the store while processes meet."""


def world_size() -> int:
    """How many processes were started together."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def restarts() -> int:
    """How often the agent of this node says that it has started this process again.

    It may be 0 after a crash too: when another node is lost or comes back, nothing is counted.
    """
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
    store = dist.PrefixStore(agreed_name(store, rank, world), store)  # pyright: ignore
    backend = _backend(device)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=TIMEOUT)
    try:
        yield ReplicatedProcesses()
    finally:
        dist.destroy_process_group()


def agreed_name(store: Store, rank: int, world: int, timeout: timedelta = TIMEOUT) -> str:
    """A name that exactly the processes of this start have, whatever the dead have left behind.

    Every process leaves a number used once. The leader answers each number with the name that it
    has drawn, and answers again when another number takes the place of a dead process's. A process
    that has its answer confirms the name; when all have, the leader says so.

    Args:
        store: where all processes read and write, perhaps since an earlier start.
        rank: of this process; rank 0 leads.
        world: number of processes.
        timeout: for how long the others are waited for.

    Raises:
        DanluError: the others did not come in time.
    """
    until = time.monotonic() + timeout.total_seconds()
    if rank:
        own = uuid4().hex
        store.set(f"join/number/{rank}", own)
        name = _awaited(store, f"join/answer/{own}", until)
        store.set(f"join/confirmed/{name}/{rank}", "yes")
        _awaited(store, f"join/complete/{name}", until)
        return name
    name, answered = uuid4().hex, {}
    missing = set(range(1, world))
    while missing:
        for each in sorted(missing):
            if store.check([f"join/confirmed/{name}/{each}"]):
                missing.remove(each)
            elif store.check([f"join/number/{each}"]):
                number = store.get(f"join/number/{each}").decode()
                if answered.get(each) != number:
                    store.set(f"join/answer/{number}", name)
                    answered[each] = number
        _wait(until)
    store.set(f"join/complete/{name}", "yes")
    return name


def _awaited(store: Store, key: str, until: float) -> str:
    """The value of a key, as soon as it is there."""
    while not store.check([key]):
        _wait(until)
    return store.get(key).decode()


def _wait(until: float) -> None:
    if time.monotonic() > until:
        raise DanluError("The other processes did not come; start all of them again.")
    time.sleep(PAUSE)


def _backend(device: str) -> str:
    if device == "cpu" or not torch.cuda.is_available():
        return "gloo"
    gpus = torch.cuda.device_count()
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % gpus)
    # NCCL refuses two processes on one GPU; numbers that are agreed upon are on the CPU.
    own = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) <= gpus
    return "cpu:gloo,cuda:nccl" if own else "gloo"
