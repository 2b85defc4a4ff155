"""What a stage makes of the data, kept in the run folder so that a resume need not repeat it."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from danlu.contracts import DataDescription, Stream
from danlu.training.files import whole_file

FOLDER = "prepared"
CHUNK = 1024


def keep(folder: Path, stage: str, stream: Stream) -> None:
    """Save the values of a prepared stream with their description."""
    x = torch.cat([batch.x for batch in stream.once(CHUNK)]).cpu().contiguous()
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    with whole_file(_path(folder, stage)) as temporary:
        save_file({"x": x}, temporary, {"description": json.dumps(asdict(stream.description))})


def recall(folder: Path, stage: str, data: Stream) -> Stream | None:
    """The prepared stream over the data's order and conditions; None when it was not kept."""
    path = _path(folder, stage)
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as file:
        raw = json.loads(file.metadata()["description"])
        x = file.get_tensor("x")
    raw["shape"] = tuple(raw["shape"])
    return data.replaced(x, DataDescription(**raw))


def _path(folder: Path, stage: str) -> Path:
    return folder / FOLDER / f"{stage}.safetensors"
