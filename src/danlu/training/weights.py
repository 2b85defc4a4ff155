"""A model's tensors by name, each stored once however many places share it."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from danlu.contracts import DanluError


def named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers under their first names; the tensors themselves."""
    found: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if not isinstance(tensor, Tensor):
            raise DanluError(f"{name} is no tensor; a model's state must consist of tensors.")
        found.setdefault(id(tensor), (name, tensor))
    return dict(found.values())


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """Copies of a model's tensors on the CPU."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in named_tensors(model).items()
    }


@torch.no_grad()
def restore(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy saved tensors into a model.

    Raises:
        DanluError: names or shapes differ, so the weights are of another model.
    """
    for name, tensor in _fitting(model, tensors).items():
        tensor.copy_(tensors[name])


def require_fit(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Raise `DanluError` unless saved tensors are of a model like this one."""
    _fitting(model, tensors)


def _fitting(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The model's own tensors, each of the name, the shape and the kind of a saved one."""
    own = named_tensors(model)
    if strange := sorted(own.keys() ^ tensors.keys()):
        raise DanluError(f"The weights are of another model: {strange[0]!r} is in only one of two.")
    for name, tensor in own.items():
        saved = tensors[name]
        if tensor.shape != saved.shape:
            raise DanluError(
                f"The weights are of another model: {name!r} has shape "
                f"{tuple(saved.shape)}, expected {tuple(tensor.shape)}."
            )
        if (tensor.is_floating_point(), tensor.is_complex()) != (
            saved.is_floating_point(),
            saved.is_complex(),
        ):
            raise DanluError(
                f"The weights are of another model: {name!r} has type {saved.dtype}, expected "
                f"{tensor.dtype}."
            )
    return own


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        DanluError: the file is damaged or absent.
    """
    if not path.is_file():
        raise DanluError(f"{path} cannot be read: it is {'no file' if path.exists() else 'absent'}")
    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise DanluError(f"{path} cannot be read: {error}") from error
