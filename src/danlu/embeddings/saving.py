"""Word vectors on disk: a folder with safetensors and the vocabulary as text, or a word2vec file.

FOLDER/  vectors.safetensors   vocabulary.txt (a word and its count on each line)
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from danlu.contracts import DanluError, unknown
from danlu.embeddings.subwords import Subwords, SubwordVectors
from danlu.embeddings.vectors import WordVectors
from danlu.embeddings.word2vec_files import read_binary, read_text, write_binary
from danlu.embeddings.word2vec_files import write_text as write_word2vec
from danlu.files import whole_folder, write_text
from danlu.reading import lines_of, require_file
from danlu.reading import read_text as read_plain

TENSORS, VOCABULARY = "vectors.safetensors", "vocabulary.txt"
BINARY = ".bin"


def write_folder(vectors: WordVectors, folder: Path) -> None:
    """Write safetensors and vocabulary."""
    tensors = {"vectors": vectors.matrix.contiguous()}
    metadata: dict[str, str] = {}
    if isinstance(vectors, SubwordVectors):
        tensors |= {"buckets": vectors.buckets, "rows": vectors.rows.contiguous()}
        metadata = {name: str(value) for name, value in asdict(vectors.subwords).items()}
    counts = [""] * len(vectors) if vectors.counts is None else vectors.counts.tolist()
    lines = [f"{word}\t{count}\n" for word, count in zip(vectors.words, counts, strict=True)]
    if any(len(word.splitlines()) != 1 or "\t" in word for word in vectors.words):
        raise DanluError("A word with a tab or a line break cannot be saved in a vocabulary.")
    with whole_folder(folder) as place:
        write_text(place / VOCABULARY, "".join(lines))
        save_file(tensors, place / TENSORS, metadata=metadata)


def read_folder(folder: Path) -> WordVectors:
    """Read what `write_folder` wrote.

    Raises:
        DanluError: a file is cut short, or the two do not belong together.
    """
    lines = lines_of(read_plain(folder / VOCABULARY))[:-1]
    pairs = [line.partition("\t") for line in lines]
    known = all(count.isdecimal() for _, _, count in pairs)
    counts = torch.tensor([int(count) for _, _, count in pairs]) if known else None
    require_file(folder / TENSORS)
    try:
        with safe_open(folder / TENSORS, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
        if len(pairs) != len(tensors["vectors"]):
            raise DanluError(
                f"{folder / VOCABULARY} has {len(pairs)} words for {len(tensors['vectors'])} "
                "vectors; it was cut short or belongs to others."
            )
        found = WordVectors([word for word, _, _ in pairs], tensors["vectors"], counts=counts)
        if "rows" not in tensors:
            return found
        subwords = Subwords(**{name: int(value) for name, value in metadata.items()})
        return SubwordVectors(found, subwords, tensors["buckets"], tensors["rows"])
    except DanluError:
        raise
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise DanluError(f"{folder / TENSORS} is cut short or damaged ({error}).") from None


FORMATS: Mapping[str, Callable[[WordVectors, Path], None]] = {
    "danlu": write_folder,
    "word2vec": write_word2vec,
    "word2vec-binary": write_binary,
}
"""How vectors can be written."""


def require_writable(path: Path, *, form: str) -> None:
    """Refuse before a long fit what `save_vectors` would refuse after it.

    Raises:
        DanluError: unknown format, a name that it does not have, or something is there already.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    if (form == "word2vec-binary") != (path.suffix == BINARY):
        raise DanluError(f"A binary word2vec file, and no other, ends in {BINARY}; got {path}.")
    if path.exists():
        raise DanluError(f"{path} exists already; nothing is overwritten, choose another name.")


def save_vectors(vectors: WordVectors, path: Path, *, form: str = "danlu") -> None:
    """Write vectors in one of `FORMATS`.

    Raises:
        DanluError: see `require_writable`.
    """
    require_writable(path, form=form)
    path.parent.mkdir(parents=True, exist_ok=True)
    FORMATS[form](vectors, path)


def load_vectors(path: Path) -> WordVectors:
    """Read a folder of danlu's, a word2vec file ending in `.bin`, or one in text; or these gzipped.

    Raises:
        DanluError: the file cannot be understood.
        OSError: it cannot be opened.
    """
    if path.is_dir():
        return read_folder(path)
    binary = path.name.removesuffix(".gz").endswith(BINARY)
    return read_binary(path) if binary else read_text(path)
