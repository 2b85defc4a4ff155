"""Speed policies: how the hardware is used, decided once, recorded and reused on resume.

Weights, losses and averages stay in float32. Images train under bfloat16 autocast where the
processor multiplies bfloat16 (AMX or AVX512-BF16, or the GPU does): 1.2 to 1.7 times as fast as
float32 on a CPU with AVX512-BF16, more with AMX. Channels-last order wins with AMX and on GPUs;
with AVX512-BF16 alone it lost about a tenth in every network tried (`danlu bench loop` measures
both). Vectors stay in float32: there is little to win, and their coordinates need the digits.
`torch.compile` and the kernels of `danlu.layers.kernels` are for long runs: both have to be asked
for.
"""

import os
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import nn
from torch.nn.functional import conv2d, silu

import danlu
from danlu.contracts import Batch, DanluError, DataDescription, unknown
from danlu.files import write_text
from danlu.layers.kernels import compiled
from danlu.training.records import read_json, record_json

ENVIRONMENT = "environment.json"
AUTOCAST = ("none", "bfloat16")
MOST_THREADS = 1024
BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")
PROBES, PROBE_LAYERS = 7, 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How a run uses the hardware.

    Attributes:
        device: where tensors live, such as `cpu` or `cuda`.
        autocast: `bfloat16` or `none`.
        channels_last: memory order of images and convolution weights.
        threads: threads of one operation on the CPU.
        compile: whether the players' networks go through `torch.compile`.
        kernels: whether recurrences use `danlu.layers.kernels`.
    """

    device: str = "cpu"
    autocast: str = "none"
    channels_last: bool = False
    threads: int = 1
    compile: bool = False
    kernels: bool = False

    def __post_init__(self) -> None:
        if self.autocast not in AUTOCAST:
            raise unknown("autocast", self.autocast, AUTOCAST)
        if not 1 <= self.threads <= MOST_THREADS:
            raise DanluError(f"threads must lie in 1 to {MOST_THREADS}, got {self.threads}.")

    @classmethod
    def choose(cls, device: str, description: DataDescription) -> "Policy":
        """The policy for this machine and data; `auto` takes a GPU where there is one.

        Compilation and kernels are never chosen: `dataclasses.replace(policy, compile=True)` asks
        for them.

        Raises:
            DanluError: the device is not here.
        """
        device = chosen_device(device)
        image = description.is_image
        return cls(
            device=device,
            autocast="bfloat16" if image and multiplies_bfloat16(device) else "none",
            channels_last=image and prefers_channels_last(device),
            threads=available_threads(),
        )

    @classmethod
    def recorded(cls, folder: Path) -> "Policy":
        """The policy of an earlier run, from its folder.

        Raises:
            DanluError: it is not recorded, or cannot be read.
        """
        return read_json(folder / ENVIRONMENT, Environment)[0].policy

    def by_the_clock(self) -> "Policy":
        """The policy for a budget in time: one thread where several are slower just now.

        Threads of one operation wait for one another, so where another program holds a core, all
        of them are up to thirty times slower than one alone. Runs counted in steps keep their
        threads, since the order of summation, and with it the last bits, depends on them.
        """
        if self.threads == 1 or self.device != "cpu":
            return self
        alone, together = (_seconds(threads) for threads in (1, self.threads))
        return self if together < alone else replace(self, threads=1)

    def place(self, model: nn.Module) -> None:
        """Move a model to the device, in the chosen memory order."""
        model.to(self.device)
        if self.channels_last:
            for parameter in model.parameters():
                if parameter.ndim == 4:
                    parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def take(self, batch: Batch, dtype: torch.dtype) -> Batch:
        """A batch on the device, in the chosen memory order and the model's type."""
        dtype = dtype if batch.x.is_floating_point() else batch.x.dtype  # ids stay ids
        batch = batch.to(torch.device(self.device), dtype)
        if self.channels_last and batch.x.ndim == 4:
            return replace(batch, x=batch.x.contiguous(memory_format=torch.channels_last))
        return batch

    def precision(self) -> AbstractContextManager:
        """The context of a forward pass."""
        if self.autocast == "none":
            return nullcontext()
        return torch.autocast(torch.device(self.device).type, torch.bfloat16)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The chosen number of threads, and the kernels, inside the context.

        Raises:
            DanluError: the kernels are asked for and cannot be built here.
        """
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with compiled() if self.kernels else nullcontext():
                yield
        finally:
            torch.set_num_threads(before)


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """What a run was made with: the versions of the software, the machine and the policy."""

    danlu: str
    torch: str
    python: str
    system: str
    processor: str
    policy: Policy

    @classmethod
    def here(cls, policy: Policy) -> "Environment":
        """This machine."""
        return cls(
            danlu=danlu.__version__,
            torch=str(torch.__version__),
            python=platform.python_version(),
            system=platform.platform(),
            processor=_cpu_field("model name") or platform.processor(),
            policy=policy,
        )


def settle(
    folder: Path | None, wanted: Policy | None, description: DataDescription
) -> tuple[Policy, list[str]]:
    """The policy of a run and notices: the recorded one, else the wanted or the chosen one.

    The choice is recorded in the folder's `environment.json`.
    """
    recorded, notices = (None, []) if folder is None else kept_policy(folder)
    if recorded is not None:
        if wanted not in (None, recorded):
            notices.append(f"The run keeps its recorded speed policy ({describe(recorded)}).")
        return recorded, notices
    policy = wanted or Policy.choose("cpu", description)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / ENVIRONMENT, record_json(asdict(Environment.here(policy))))
    return policy, notices


def kept_policy(folder: Path) -> tuple[Policy | None, list[str]]:
    """The recorded policy where there is one that can be used here, and notices."""
    if not (folder / ENVIRONMENT).exists():
        return None, []
    other = "it goes on with another speed policy, so its bits will differ."
    try:
        found, damage = read_json(folder / ENVIRONMENT, Environment)
    except DanluError as error:
        return None, [f"The run's speed policy is lost ({error}); {other}"]
    if not _usable(found.policy.device):
        return None, [f"The run was trained on {found.policy.device}, which is not here; {other}"]
    notices = [damage] if damage else []
    return _with_threads_of_now(found.policy, notices), notices


def _with_threads_of_now(policy: Policy, notices: list[str]) -> Policy:
    """The policy with as many threads as were asked for, or at most as there are cores."""
    asked, here = "OMP_NUM_THREADS" in os.environ, available_threads()
    threads = here if asked else min(policy.threads, here)
    if threads != policy.threads:
        why = "OMP_NUM_THREADS says" if asked else "this machine has cores"
        notices.append(
            f"The run had {policy.threads} threads and goes on with {threads}, as {why}; its last "
            "bits may differ."
        )
    return replace(policy, threads=threads)


def describe(policy: Policy) -> str:
    """A policy in a few words."""
    words = [
        policy.device,
        "float32" if policy.autocast == "none" else f"{policy.autocast} autocast",
        "channels last" if policy.channels_last else "",
        f"{policy.threads} threads" if policy.threads > 1 else "1 thread",
        "compiled" if policy.compile else "",
        "kernels" if policy.kernels else "",
    ]
    return ", ".join(word for word in words if word)


def multiplies_bfloat16(device: str) -> bool:
    """Whether the device has instructions for products of bfloat16."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = _cpu_field("flags").split()
    return torch.device(device).type == "cpu" and any(flag in flags for flag in BFLOAT16_FLAGS)


def prefers_channels_last(device: str) -> bool:
    """Whether convolutions gain from channels-last order: on GPUs and with AMX."""
    return torch.device(device).type == "cuda" or "amx_bf16" in _cpu_field("flags").split()


def chosen_device(device: str) -> str:
    """The device that was asked for; `auto` takes a GPU, of NVIDIA's or Apple's, where one is.

    Raises:
        DanluError: the device is not here.
    """
    if device == "auto":
        here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        return next((name for name, found in here.items() if found), "cpu")
    if not _usable(device):
        raise DanluError(f"There is no device {device!r} here; use cpu.")
    return device


def _usable(device: str) -> bool:
    """Whether a number comes back from it; the backends raise whatever they like."""
    try:
        return torch.ones(1, device=device).item() == 1.0
    except Exception:
        return False


def available_threads() -> int:
    """Every core this process may use, unless the environment says otherwise."""
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _seconds(threads: int) -> float:
    """Time of a chain of operations as small as a small network's; the median of a few."""
    x, weights = torch.ones(64, 32, 8, 8), torch.ones(32, 32, 3, 3) / 288
    before, seconds = torch.get_num_threads(), []
    torch.set_num_threads(threads)
    try:
        for _ in range(PROBES):
            began, y = perf_counter(), x
            for _ in range(PROBE_LAYERS):
                y = silu(conv2d(y, weights, padding=1))
            seconds.append(perf_counter() - began)
    finally:
        torch.set_num_threads(before)
    return median(seconds)


def _cpu_field(name: str) -> str:
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return ""
    for line in path.read_text(encoding="utf-8").splitlines():
        field, _, value = line.partition(":")
        if field.strip() == name:
            return value.strip()
    return ""
