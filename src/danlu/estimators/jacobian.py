r"""A Jacobian times a vector, together with the value, in one forward pass.

$(f(x), J_f(x)\,v)$ by forward-mode differentiation: no graph is walked backwards, and the value
keeps its own gradients. Every operation inside needs a forward-mode derivative, which fused
attention on the CPU lacks.

Sources: arXiv:1502.05767 §3.1 (forward mode, dual numbers).
"""

import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.func import jvp


def jacobian_product(
    function: Callable[..., Tensor], inputs: tuple[Tensor, ...], vectors: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """The value of a function and its derivative along vectors, one for each input."""
    with warnings.catch_warnings():
        # At the first call torch scripts its own rules, of which it warns itself.
        warnings.filterwarnings("ignore", message="`torch.jit.script", category=DeprecationWarning)
        with in_eager():
            value, slope, *_ = jvp(function, inputs, vectors)
    return value, slope


def in_eager() -> AbstractContextManager[object]:
    """What is compiled runs as written: graphs have no forward mode and no second derivatives."""
    # Nothing is compiled where torch's compiler, which is slow to import, was never needed.
    loaded = "torch._dynamo" in sys.modules
    return torch.compiler.set_stance("force_eager") if loaded else nullcontext()
