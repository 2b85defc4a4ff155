"""Files of vectors that cannot be right are refused in one line."""

import pytest
import torch

from danlu.contracts import DanluError
from danlu.embeddings import WordVectors, load_vectors, save_vectors

FILES = {"danlu": "folder", "word2vec": "vectors.txt", "word2vec-binary": "vectors.bin"}


@pytest.fixture
def vectors():
    return WordVectors(["alpha", "beta", "gamma"], torch.randn(3, 4))


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_file_cut_short(form, share, vectors, tmp_path):
    path = tmp_path / FILES[form]
    save_vectors(vectors, path, form=form)
    file = path / "vectors.safetensors" if path.is_dir() else path
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DanluError, match="cut short") as caught:
        load_vectors(path)
    assert "\n" not in str(caught.value)


def test_a_vocabulary_cut_short(vectors, tmp_path):
    save_vectors(vectors, tmp_path / "folder")
    (tmp_path / "folder" / "vocabulary.txt").write_text("alpha\t\n")
    with pytest.raises(DanluError, match="1 words for 3 vectors"):
        load_vectors(tmp_path / "folder")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello world\n", "no word2vec file"),
        ("", "no word2vec file"),
        ("2 2\na 1 2\na 3 4\n", "a word twice"),
        ("2 2\na 1 2\nb 3 x\n", "line 3: 'b' has no 2 numbers"),
    ],
)
def test_a_file_that_is_something_else(text, message, tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text(text)
    with pytest.raises(DanluError, match=message):
        load_vectors(path)


def test_what_the_formats_cannot_hold(vectors, tmp_path):
    spaced = WordVectors(["New York"], torch.zeros(1, 2))
    for form in ("word2vec", "word2vec-binary"):
        with pytest.raises(DanluError, match="cannot hold the word 'New York'"):
            save_vectors(spaced, tmp_path / FILES[form], form=form)
    with pytest.raises(DanluError, match=r"ends in \.bin"):
        save_vectors(vectors, tmp_path / "vectors.txt", form="word2vec-binary")
    with pytest.raises(DanluError, match="did you mean 'word2vec'"):
        save_vectors(vectors, tmp_path / "vectors.txt", form="word2vek")
    save_vectors(vectors, tmp_path / "folder")
    with pytest.raises(DanluError, match="nothing is overwritten"):
        save_vectors(vectors, tmp_path / "folder")
