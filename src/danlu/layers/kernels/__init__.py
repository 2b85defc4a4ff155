"""Kernels in C++ for recurrences on a processor: an option beside the forms written in torch.

Inside `compiled()` the scans that have a kernel use it for float32 and float64 of a processor;
outside, and for everything else (half precision, devices), the forms in torch serve, which the
kernels must equal, gradients included. The first use builds them with torch's extension builder,
which takes about a minute and keeps the result for later runs: a C++ compiler and ninja
(`pip install "danlu[kernels]"`) are needed.
They have first derivatives, backwards; for others stay outside.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from subprocess import SubprocessError

import torch
from torch import Tensor

from danlu.contracts import DanluError
from danlu.layers.kernels.operators import decayed_sums, means, register, selective_scan

__all__ = ["compiled", "decayed_sums", "means", "selective_scan", "serve"]

SOURCES = ("decayed_sums.cpp", "means.cpp", "selective_scan.cpp")
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp")


@dataclass(slots=True)
class Kernels:
    """Whether the kernels are built, and whether they are in use."""

    built: bool = False
    used: bool = False


_KERNELS = Kernels()


@contextmanager
def compiled() -> Iterator[None]:
    """Use the kernels inside the context.

    Raises:
        DanluError: they cannot be built here; the message says what is missing.
    """
    if not _KERNELS.built:
        _build()
        _KERNELS.built = True
    before, _KERNELS.used = _KERNELS.used, True
    try:
        yield
    finally:
        _KERNELS.used = before


def serve(x: Tensor) -> bool:
    """Whether a kernel is to be used for this tensor; the forms in torch promote half precision."""
    return _KERNELS.used and x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)


def _build() -> None:
    # Imported here: the builder needs setuptools, which only those who build have.
    try:
        from torch.utils.cpp_extension import load

        folder = Path(__file__).parent
        load(
            f"danlu_kernels_{_processor()}",
            [str(folder / name) for name in SOURCES],
            extra_cflags=list(FLAGS),
            is_python_module=False,
        )
    except (ImportError, RuntimeError, OSError, SubprocessError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DanluError(
            f"The kernels cannot be built here ({reason}): install a C++ compiler and "
            '`pip install "danlu[kernels]"`, or train without them.'
        ) from error
    register()


def _processor() -> str:
    """What is built is for one kind of processor alone, and a home may be shared by several."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return sha256((platform.machine() + flags).encode()).hexdigest()[:8]
