import gzip
import os
from pathlib import Path

import pytest
import torch

from danlu.contracts import DanluError
from danlu.data.text import Bytes, Characters, read_texts, text_source, tokens_of
from danlu.data.text.reading import brown

TEXT = "".join(f"Line {i} of the text, in all {i * i}.\n" for i in range(400))


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize(
    "tokens", [Characters.of("añ中\n z"), Bytes()], ids=["characters", "bytes"]
)
def test_ids_and_back(tokens):
    text = "z ñ中\naa"
    ids = tokens.encode(text)
    assert tokens.decode(ids) == text
    assert int(ids.max()) < tokens.size
    assert len(ids) == (len(text) if isinstance(tokens, Characters) else len(text.encode()))


def test_any_bytes_survive(tmp_path):
    path = tmp_path / "noise.bin"
    raw = bytes(range(256)) * 20
    path.write_bytes(raw)
    source = text_source([path], window=8, unit="bytes")
    assert source.description.levels == 256
    assert source.training.tokens.tolist() == list(raw)


def test_unknown_characters_are_named():
    with pytest.raises(DanluError, match="has no 'x', 'y'"):
        Characters.of("abc").encode("yabx")


def test_every_window_is_a_part_of_the_text(book):
    source = text_source([book], window=32)
    tokens = tokens_of(source.description)
    for split in (source.training, source.validation, source.test):
        for row in split.x(torch.arange(0, len(split), 7)):
            assert tokens.decode(row) in TEXT
    assert source.training.x().dtype == torch.int64


def test_no_token_is_in_two_splits(book):
    source = text_source([book], window=32)
    covered = [
        {start + k for start in split.starts.tolist() for k in range(32)}
        for split in (source.training, source.validation, source.test)
    ]
    assert len(set.union(*covered)) == sum(map(len, covered))
    total = sum(map(len, covered))
    assert total > len(TEXT) - 32  # but for less than a window
    assert abs(len(covered[2]) / total - 0.1) < 0.04
    again = text_source([book], window=32)
    assert torch.equal(again.test.starts, source.test.starts)


def test_held_out_windows_stand_side_by_side(book):
    test = text_source([book], window=32).test
    assert len(test) == len(set(test.starts.tolist()))
    assert all(start % 32 == 0 for start in test.starts.tolist())


def test_folders_are_read_in_order_and_what_is_no_text_is_listed(tmp_path):
    (tmp_path / "b.txt").write_text("second " * 300)
    (tmp_path / "a.txt").write_text("first " * 300)
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\0\0")
    (tmp_path / "empty.txt").write_text("")
    texts, skipped = read_texts([tmp_path])
    assert [name[-5:] for name in texts] == ["a.txt", "b.txt"]
    assert len(skipped) == 1
    assert skipped[0].startswith("photo.png: photo.png is no UTF-8 text")
    assert any("left out: photo.png" in line for line in text_source([tmp_path]).notices)


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        (b"", {}, "There is no text in"),
        (b"a\xff\x00", {}, r"no UTF-8 text \(byte 2\): it holds binary.*data.unit=bytes"),
        (TEXT.replace("L", "ß").encode("latin-1"), {}, r"\(byte 0\): it may be .*iconv"),
        (b"\xff\xfe\x00\xd8", {}, r"no UTF-16 text \(byte"),
        (b"short", {}, "has 5 characters; windows of 128 need 1,280"),
        (b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", {"window": 2}, "nothing but 'a'"),
        (b"text " * 99, {"unit": "words"}, "Unknown unit of text 'words'"),
        (b"text " * 99, {"reader": "browne"}, "did you mean 'brown'"),
        (b"text " * 99, {"window": 1}, "at least 2 tokens, got --size 1"),
    ],
)
def test_bad_text_is_told_in_one_line(tmp_path, content, options, reason):
    path = tmp_path / "it.txt"
    path.write_bytes(content)
    with pytest.raises(DanluError, match=reason) as caught:
        text_source([path], **options)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DanluError, match="There is no file or folder"):
        text_source([tmp_path / "missing.txt"])


def test_the_tagged_corpus_becomes_running_text():
    tagged = "\n\n\t``/`` It/pps is/bez (/( 1/2/cd )/) ,/, ''/'' he/pps said/vbd ./.\n\n"
    assert brown(tagged) == '"It is (1/2)," he said.\n'


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_marks_of_byte_order_are_no_text(encoding, tmp_path):
    path = tmp_path / "it.txt"
    path.write_bytes(TEXT.encode(encoding))
    texts, _ = read_texts([path])
    assert list(texts.values()) == [TEXT]
    (tmp_path / "it.txt.gz").write_bytes(gzip.compress(TEXT.encode(encoding)))
    assert list(read_texts([tmp_path / "it.txt.gz"])[0].values()) == [TEXT]


def test_the_tagged_corpus_keeps_lines_that_hold_separators():
    assert brown("a/at\u2028b/nn c/nn ./.\n\n") == "a\u2028b c.\n"


def test_no_text_is_learned_and_held_out_at_once(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "copy.txt").write_text(TEXT)
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("settings")
    os.mkfifo(tmp_path / "pipe")
    texts, skipped = read_texts([tmp_path])
    assert [Path(name).name for name in texts] == ["a.txt"]
    reasons = dict(line.split(": ", 1) for line in skipped)
    assert reasons["link.txt"] == "the same file as a.txt"
    assert reasons["pipe"] == "a pipe, not a file"
    assert reasons[".git"] == "hidden or of the system"
    assert reasons[str(tmp_path / "copy.txt")].startswith("the same text as")


@pytest.mark.parametrize("name", ["pipe", "/dev/zero"])
@pytest.mark.parametrize("unit", ["characters", "bytes"])
def test_what_has_no_end_is_no_text(name, unit, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DanluError, match=r"is a (pipe|device), not a file"):
        text_source([tmp_path / name], unit=unit)


def test_text_that_the_memory_will_not_hold(book, tmp_path, monkeypatch):
    monkeypatch.setattr("danlu.reading.room.available_memory", lambda: 10_000)
    monkeypatch.setattr("danlu.reading.paths.available_memory", lambda: 10_000)
    with pytest.raises(DanluError, match=r"may take .* GB of memory"):
        text_source([book])
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(1 << 17)))
    with pytest.raises(DanluError, match="unpacks to more than"):
        text_source([tmp_path / "bomb.gz"])
