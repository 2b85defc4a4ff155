"""What a model is told, as what its networks read: one conditioner for each kind of condition.

A row's `build(kind, dim)` makes the conditioner of a kind; without arguments a tiny one.
"""

from danlu.conditioning import classes, images, texts, vectors
from danlu.conditioning.conditioner import Conditioner
from danlu.conditioning.joined import Joined
from danlu.contracts import Kind, Method

_NULL = "arXiv:2207.12598"

CONDITIONERS = {
    "class": Method(classes.ClassEmbedding, ("arXiv:1411.1784 §3.2", _NULL), classes.build),
    "vector": Method(vectors.VectorEmbedding, ("arXiv:1411.1784 §3.2", _NULL), vectors.build),
    "tokens": Method(
        texts.TokenEncoder, ("arXiv:1706.03762 §3.1", "arXiv:2112.10752 §3.3", _NULL), texts.build
    ),
    "image": Method(images.ImageEncoder, ("arXiv:2111.05826 §3", _NULL), images.build),
}


def conditioner(kind: Kind | None, dim: int) -> Conditioner:
    """What turns conditions of a kind into features of a size; blind where nothing is told."""
    if kind is None:
        return classes.ClassEmbedding(0, dim)
    if isinstance(kind, tuple):
        return Joined([conditioner(one, dim) for one in kind])
    return CONDITIONERS[kind.name].build(kind, dim)


__all__ = ["CONDITIONERS", "Conditioner", "Joined", "conditioner"]
