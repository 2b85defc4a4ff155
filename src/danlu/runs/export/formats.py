"""File formats of exported functions: how one is written, and read back to be checked."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from danlu.contracts import DanluError, Export
from danlu.files import patient_file

Function = Callable[[Sequence[Tensor]], Tensor]
OUTPUT = "output"
BATCH = 3
"""Batch size of the example that a function is traced with; any other works afterwards."""


@dataclass(frozen=True, slots=True)
class Format:
    """A file format.

    Attributes:
        write: puts a traced function into a file.
        read: the function of such a file.
        needs: packages beside danlu's own.
    """

    write: Callable[[torch.export.ExportedProgram, Export, Path], None]
    read: Callable[[Path], Function]
    needs: tuple[str, ...] = ()

    def require(self, name: str) -> None:
        """Raise `DanluError` when a package is missing, and say how to get it."""
        missing = [package for package in self.needs if find_spec(package) is None]
        if missing:
            raise DanluError(
                f"{name} files need {', '.join(missing)}: pip install {' '.join(self.needs)} "
                "(the extra `export`), or write --format pt2 alone."
            )


def traced(part: Export) -> torch.export.ExportedProgram:
    """The part as a graph with a free batch size."""
    example = tuple(part.example(BATCH))
    batch = torch.export.Dim("batch")
    with torch.no_grad(), _quiet():
        # A strict trace reads `len(x)` as a symbol; the other kind would fix the batch size.
        return torch.export.export(
            _Positional(part.module),
            example,
            dynamic_shapes=(tuple({0: batch} for _ in example),),
            strict=True,
        )


class _Positional(torch.nn.Module):
    """Takes the inputs of any module by position, so that all shapes are told in one way."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.module(*inputs)


def _write_pt2(program: torch.export.ExportedProgram, part: Export, path: Path) -> None:
    with patient_file(path) as file:
        torch.export.save(program, file)


def _read_pt2(path: Path) -> Function:
    module = torch.export.load(path).module()
    return lambda inputs: module(*inputs)


def _write_onnx(program: torch.export.ExportedProgram, part: Export, path: Path) -> None:
    with _quiet():
        torch.onnx.export(
            program,
            f=path,
            dynamo=True,
            input_names=list(part.inputs),
            output_names=[OUTPUT],
            external_data=False,
            verbose=False,
        )


def _read_onnx(path: Path) -> Function:
    import onnxruntime  # pyright: ignore[reportMissingImports]

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]

    def run(inputs: Sequence[Tensor]) -> Tensor:
        given = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run([OUTPUT], given)[0])

    return run


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' talk of their own insides, which is no news to a user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logger.setLevel(level)


FORMATS: Mapping[str, Format] = {
    "pt2": Format(_write_pt2, _read_pt2),
    "onnx": Format(_write_onnx, _read_onnx, ("onnx", "onnxruntime", "onnxscript")),
}
