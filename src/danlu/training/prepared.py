"""What a stage makes of the data, kept in the run folder so that a resume need not repeat it."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from danlu.contracts import DanluError, DataDescription, Stream
from danlu.files import whole_file
from danlu.training.earlier import renamed
from danlu.training.records import typed

FOLDER = "prepared"
CHUNK = 1024


def keep(folder: Path, stage: str, stream: Stream) -> None:
    """Save the values of a prepared stream with their description and a digest of both."""
    x = torch.cat([batch.x for batch in stream.once(CHUNK)]).cpu().contiguous()
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    description = json.dumps(asdict(stream.description))
    facts = {"description": description, "digest": _digest(x, description)}
    with whole_file(_path(folder, stage)) as temporary:
        save_file({"x": x}, temporary, facts)


def recall(folder: Path, stage: str, data: Stream) -> Stream:
    """The prepared stream over the data's order and conditions.

    Raises:
        DanluError: it was not kept, or what was kept is damaged.
    """
    path = _path(folder, stage)
    if not path.is_file():
        raise DanluError(f"{path} is absent")
    try:
        with safe_open(path, framework="pt") as file:
            facts, x = file.metadata() or {}, file.get_tensor("x")
        description = facts["description"]
        # Earlier versions wrote no digest.
        if facts.get("digest", _digest(x, description)) != _digest(x, description):
            raise DanluError(f"{path} is not what was written")
        told = renamed(json.loads(description))  # an earlier version may have kept it
        found: DataDescription = typed(told, DataDescription, str(path))
        return data.replaced(x, found)
    except DanluError:
        raise
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DanluError(f"{path} cannot be read ({type(error).__name__})") from error


def _digest(x: Tensor, description: str) -> str:
    digest = hashlib.blake2b(description.encode(), digest_size=16)
    digest.update(x.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _path(folder: Path, stage: str) -> Path:
    return folder / FOLDER / f"{stage}.safetensors"
