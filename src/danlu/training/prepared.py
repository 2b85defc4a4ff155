"""What a stage makes of the data, kept in the run folder so that a resume need not repeat it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from danlu.contracts import DanluError, DataDescription, Stream
from danlu.files import whole_file
from danlu.training.earlier import parted, renamed
from danlu.training.records import typed

FOLDER = "prepared"
CHUNK = 1024
X, EXTRA = "x", "extra."
FORMAT = "2"
"""Of the files; those of earlier versions say none."""


def keep(folder: Path, stage: str, stream: Stream) -> None:
    """Save what a prepared stream gives, with its description and a digest of both."""
    rows: dict[str, list[Tensor]] = {}
    for batch in stream.once(CHUNK):
        for name, value in [(X, batch.x), *((EXTRA + k, v) for k, v in batch.extra.items())]:
            rows.setdefault(name, []).append(value)
    tensors = {name: torch.cat(parts).cpu().contiguous() for name, parts in rows.items()}
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    description = json.dumps(asdict(stream.description))
    digest = _digest(tensors, description)
    facts = {"description": description, "digest": digest, "format": FORMAT}
    with whole_file(_path(folder, stage)) as temporary:
        save_file(tensors, temporary, facts)


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
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
        description = facts["description"]
        # The first versions wrote no digest.
        if facts.get("digest", digest := _digest(tensors, description)) != digest:
            raise DanluError(f"{path} is not what was written")
        told = renamed(json.loads(description))  # an earlier version may have kept it
        found: DataDescription = typed(told, DataDescription, str(path))
        x = tensors.pop(X)
        extra = {name.removeprefix(EXTRA): value for name, value in tensors.items()}
        if "format" not in facts:
            x, found, extra = parted(x, found, stage)
        return data.replaced(x, found, extra)
    except DanluError:
        raise
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DanluError(f"{path} cannot be read ({type(error).__name__})") from error


def _digest(tensors: Mapping[str, Tensor], description: str) -> str:
    digest = hashlib.blake2b(description.encode(), digest_size=16)
    for _, tensor in sorted(tensors.items(), reverse=True):  # x comes first
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _path(folder: Path, stage: str) -> Path:
    return folder / FOLDER / f"{stage}.safetensors"
