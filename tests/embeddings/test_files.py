"""Files of vectors in the wild; those that cannot be right are refused in one line."""

import gzip
import os

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
        ("2 2\na 1 2\nb inf 1\n", "the vector of 'b' is infinite"),
        ("a 1 2\nb 3 4", "cut short"),
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


def test_words_with_several_vectors_keep_the_first_and_are_named(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("3 2\na 1 2\na 3 4\nb 5 6\n")
    found = load_vectors(path)
    assert found.words == ("a", "b")
    assert found.matrix.tolist() == [[1, 2], [5, 6]]
    assert found.notices == ("Words with several vectors, of which the first counts: 'a'.",)


@pytest.mark.parametrize("name", ["vectors.bin", "vectors.bin.gz", "vectors.txt", "vectors.txt.gz"])
def test_words_cut_inside_a_character(name, tmp_path):
    """Two long words that word2vec has cut into the same bytes, in every form and gzipped."""
    words = ["naïve".encode()[:3], "naïve".encode()[:3] + b"x", b"plain"]
    rows = [b"\0\0\x80?", b"\0\0\0@", b"\0\0@@"] if ".bin" in name else [b"1.0", b"2.0", b"3.0"]
    content = b"3 1\n" + b"".join(
        w + b" " + row + b"\n" for w, row in zip(words, rows, strict=True)
    )
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = load_vectors(path)
    assert found.words == ("na\ufffd", "na\ufffdx", "plain")
    assert found.matrix.tolist() == [[1], [2], [3]]
    (line,) = found.notices
    assert line == "Words that were cut inside a character: 'na\ufffd', 'na\ufffdx'."


def test_the_form_of_glove_has_no_first_line(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("the 0.5 1e-3\n. . . 1 2\n3 4 5\nx\u00a0y 6 7\n")
    found = load_vectors(path)
    assert found.words == ("the", ". . .", "3", "x\u00a0y")
    assert found.matrix.tolist() == [[0.5, pytest.approx(1e-3)], [1, 2], [4, 5], [6, 7]]


def test_vectors_that_are_no_file_or_too_large(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(DanluError, match="is a pipe, not a file"):
        load_vectors(tmp_path / "pipe.txt")
    packed = tmp_path / "vectors.txt.gz"
    packed.write_bytes(gzip.compress(b"2 2\na 1 2\nb 3 4\n")[:-14])
    with pytest.raises(DanluError, match="cut short or damaged"):
        load_vectors(packed)
    packed.write_bytes(gzip.compress(b"1000000000 1000\na 1 2\n"))
    with pytest.raises(DanluError, match=r"may take 8,000.0 GB of memory"):
        load_vectors(packed)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vocabulary.txt", b"\xff\xfe\x00"),
        ("vocabulary.txt", b"a\t1\nb\t2\n"),
        ("vectors.safetensors", b"{}"),
    ],
)
def test_a_folder_that_was_damaged(name, content, vectors, tmp_path):
    save_vectors(vectors, tmp_path / "folder")
    (tmp_path / "folder" / name).write_bytes(content)
    with pytest.raises(DanluError) as caught:
        load_vectors(tmp_path / "folder")
    assert "\n" not in str(caught.value)
