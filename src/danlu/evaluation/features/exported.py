"""A feature space of one's own: a network in an ONNX file.

It takes examples on the scale of the data, float32 `[batch, *shape]` with a free batch size, and
its first output are features, `[batch, ...]`:

    batch = {0: torch.export.Dim("batch")}
    torch.onnx.export(network, (x,), "net.onnx", dynamo=True, dynamic_shapes=(batch,))

ONNX Runtime runs no Python. A `.pt2` of `torch.export.save` is not read: its reader unpickles what
such a file holds and evaluates text in it, so that opening a stranger's file would run his code.
"""

import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from danlu.contracts import DanluError, DataDescription
from danlu.evaluation.features.cache import SHORT
from danlu.evaluation.features.space import FeatureSpace
from danlu.training.records import inside

NEEDED = ("onnx", "onnxruntime")
LARGEST = 2**31 - 1
"""Bytes of a network: more do not fit into one message of the format."""
LOCATION = "location"


def from_file(path: Path, description: DataDescription) -> FeatureSpace:
    """The space of a network in a file; its name is the file's.

    Raises:
        DanluError: no such file, no network, or it does not take this data.
    """
    content = content_of(path)
    import onnxruntime  # pyright: ignore[reportMissingImports]

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.log_severity_level = 4  # what is wrong is in the error
    try:
        session = onnxruntime.InferenceSession(
            content, settings, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its errors have no common class
        raise DanluError(f"{path} cannot be run: {_line(error)}.") from error
    name = _input_name(path, session, description)

    def embed(x: Tensor) -> Tensor:
        try:
            found = session.run(None, {name: x.float().cpu().contiguous().numpy()})[0]
        except Exception as error:
            raise DanluError(f"{path} fails on this data: {_line(error)}.") from error
        return torch.from_numpy(found).to(x.device).flatten(1)

    digest = hashlib.sha256(content).hexdigest()[:SHORT]
    return FeatureSpace(path.stem, digest, embed, title=f"features of the network {path.name}")


def content_of(path: Path) -> bytes:
    """A network in one piece: with the weights that large ones keep in files beside them.

    Raises:
        DanluError: no such file, no network, or it names a file that is not in its folder.
    """
    _require_readable(path)
    import onnx  # pyright: ignore[reportMissingImports]
    from onnx.external_data_helper import (  # pyright: ignore[reportMissingImports]
        load_external_data_for_model,
    )

    try:
        model = onnx.load_model_from_string(path.read_bytes())
        for name in _external(model):
            if not inside(path.parent, name).is_file():
                raise DanluError(f"{path} names the file {name}, which is absent.")
        load_external_data_for_model(model, str(path.parent))
        if name := next(_external(model), ""):
            raise DanluError(f"{path} refers to {name} in an unusual place; keep weights inside.")
        return model.SerializeToString()
    except DanluError:
        raise
    except Exception as error:  # what its readers raise is not documented
        raise DanluError(f"{path} is no network in the ONNX format: {_line(error)}.") from error


def _require_readable(path: Path) -> None:
    if not path.is_file():
        raise DanluError(f"There is no feature network {path}.")
    if path.suffix == ".pt2":
        raise DanluError(
            f"{path} is a file of torch.export, which cannot be opened without running what it "
            "holds; write the network with torch.onnx.export and give the .onnx file."
        )
    if missing := [package for package in NEEDED if find_spec(package) is None]:
        raise DanluError(
            f"A feature network needs {', '.join(missing)}: pip install {' '.join(NEEDED)} (the "
            "extra `export`)."
        )
    if path.stat().st_size > LARGEST:
        raise DanluError(f"{path} is too large; keep its weights beside it as external data.")


def _external(message: Any) -> Iterator[str]:
    """Names of the files to which any tensor in a message refers."""
    for field, value in message.ListFields():
        if field.name == "external_data" and message.data_location == message.EXTERNAL:
            yield from (entry.value for entry in value if entry.key == LOCATION)
        elif field.message_type is not None:
            each = value if field.is_repeated else [value]
            for part in each:
                yield from _external(part)


def _input_name(path: Path, session: Any, description: DataDescription) -> str:
    taken = session.get_inputs()
    shapes = ", ".join(str(tuple(port.shape[1:])) for port in taken) or "nothing"
    if len(taken) != 1 or tuple(taken[0].shape[1:]) != description.shape:
        raise DanluError(
            f"{path} takes examples of shape {shapes}; this data has {description.shape}."
        )
    if taken[0].type != "tensor(float)":
        raise DanluError(f"{path} takes {taken[0].type}; a feature network takes float32.")
    if isinstance(batch := taken[0].shape[0], int):
        raise DanluError(
            f"{path} takes batches of exactly {batch}; export it with a free batch size: "
            'dynamic_shapes=({0: torch.export.Dim("batch")},).'
        )
    return taken[0].name


def _line(error: Exception) -> str:
    """The first line of an error's own text."""
    return (next(iter(str(error).splitlines()), "") or type(error).__name__).rstrip(".")
