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
        (b"\xff\xfe\x00", {}, r"no UTF-8 text \(byte 2\): convert it.*data.unit=bytes"),
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
