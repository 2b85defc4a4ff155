"""Networks kept on disk by the hash of all that determines them.

The folder is `$DANLU_CACHE`, else `~/.cache/danlu`. One that cannot be read counts as
absent, and one that cannot be written is done without.
"""

import hashlib
from collections.abc import Mapping

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from danlu.data import Examples
from danlu.files import write_bytes
from danlu.reading.kept import cache_folder

SHORT = 12


def content_hash(examples: Examples, *keys: object) -> str:
    """A hash of every value and class id of a split, and of the keys."""
    digest = hashlib.sha256(repr((examples.description, *keys)).encode())
    for tensor in examples.content():
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def weight_hash(tensors: Mapping[str, Tensor]) -> str:
    """The first digits of the sha256 of named tensors, the same on any machine."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(tensor.reshape(-1).numpy().data)
    return digest.hexdigest()[:SHORT]


def recall(key: str) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """Tensors and facts that were kept under a key, or None."""
    path = cache_folder() / f"{key}.safetensors"
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None


def keep(key: str, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    """Write tensors and facts under a key; returns why that could not be, or nothing."""
    path = cache_folder() / f"{key}.safetensors"
    content = save({n: t.contiguous() for n, t in tensors.items()}, metadata=dict(facts))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
    except OSError as error:
        reason = error.strerror or str(error).partition(";")[0]
        return (
            f"not kept for the next time, since {path.parent} cannot be written ({reason}); "
            "DANLU_CACHE names another folder"
        )
    return ""
