"""Words from text: readers, vocabularies, shards, several processes, bad input."""

import gzip
import os

import numpy as np
import pytest

from danlu.contracts import DanluError
from danlu.embeddings import Counting, Sentences, SkipGram, SvdPpmi, Vocabulary, file_shards
from danlu.embeddings.counting import count_pairs
from danlu.embeddings.encoded import encoded
from danlu.embeddings.text import READERS, files_below, without_spaces, words_in
from danlu.embeddings.vocabulary import count_words

LINES = ["The cat, the Dog's tail - 2 cats!", "", "well-known café № 5", "the cat sat"]


def test_readers_cut_lines_into_words():
    assert READERS["words"](LINES[0]) == ["the", "cat", "the", "dog's", "tail", "cats"]
    assert READERS["words"](LINES[2]) == ["well-known", "café"]
    assert READERS["spaces"]("A  b,") == ["A", "b,"]
    tagged = "\tThe/at N.Y./np and/or/cc ``/`` 1960/cd ./.\n"
    assert READERS["brown"](tagged) == ["the", "n.y.", "and/or"]


def test_equal_counts_are_in_alphabetical_order():
    counted = count_words([["b", "a", "c", "c"], ["d", "d", "d"]])
    vocabulary = Vocabulary.of(counted, min_count=1)
    assert vocabulary.words == ("d", "c", "a", "b")
    assert vocabulary.index["a"] == 2


def test_an_empty_corpus_is_one_clear_line(tmp_path):
    path = tmp_path / "empty.txt"
    path.write_text("\n\n")
    (shard,) = file_shards([path])
    with pytest.raises(DanluError, match=r"no word that occurs 5 times \(0 words in all"):
        Vocabulary.of(words_in(shard))


def test_other_encodings_are_refused(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes("gut\nschön\n".encode("latin-1"))
    with pytest.raises(DanluError, match=r"no UTF-8 text \(byte 7\).*iconv"):
        words_in(file_shards([path])[0])


def test_unknown_words_leave_before_windows():
    text = Sentences([["a", "x", "b"], ["x"], ["a"]])
    vocabulary = Vocabulary(("a", "b"), np.array([2, 1]))
    (piece,) = encoded(text, vocabulary)
    assert piece.ids.tolist() == [0, 1, 0]
    assert piece.lengths.tolist() == [2, 0, 1]
    counts = count_pairs([text], vocabulary, Counting(window=1))
    assert counts.toarray().tolist() == [[0, 1], [1, 0]]


def test_random_numbers_belong_to_the_line_not_to_the_reading():
    lines = [["a"] * n for n in (5, 1, 7)]
    vocabulary = Vocabulary(("a",), np.array([13]))
    whole = next(encoded(Sentences(lines), vocabulary)).uniform(3)
    (last,) = encoded(Sentences(lines[2:], 2), vocabulary)
    assert last.uniform(3).tolist() == whole[6:].tolist()
    assert len({*whole.tolist()}) == 13
    assert last.uniform(4).tolist() != last.uniform(3).tolist()


@pytest.mark.parametrize("window", [0, -2])
def test_no_window_is_refused(window):
    with pytest.raises(DanluError, match="at least 1 word"):
        SkipGram(window=window)
    with pytest.raises(DanluError, match="at least 1 word"):
        count_pairs([Sentences([])], Vocabulary(("a",), np.array([1])), Counting(window=window))


def test_more_dimensions_than_words_are_refused():
    text = Sentences([["a", "b", "c"]] * 5)
    vocabulary = Vocabulary.of(count_words(text.sentences))
    with pytest.raises(DanluError, match="100 dimensions need at least as many words"):
        SvdPpmi().fit([text], vocabulary)


@pytest.mark.long
def test_several_processes_count_the_same(tmp_path):
    path = tmp_path / "text.txt"
    random = np.random.default_rng(0)
    letters = np.array([*"abcdefgh"])
    path.write_text("\n".join(" ".join(random.choice(letters, 6)) for _ in range(200)))
    shards = file_shards([path], shards=3)
    vocabulary = Vocabulary.of(words_in(file_shards([path])[0]))
    alone = count_pairs(shards, vocabulary, Counting(sample=0.1))
    spilling = Counting(sample=0.1, processes=2, entries=20, folder=tmp_path)
    together = count_pairs(shards, vocabulary, spilling)
    assert (alone.toarray() == together.toarray()).all()
    assert len([*tmp_path.glob("run-2-*.npy")]) > 0


SCRIPTS = {
    "hindi": ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
    "tamil": ("வணக்கம், உலகம்!", ["வணக்கம்", "உலகம்"]),
    "vocalised-arabic": ("مُحَمَّدٌ كِتَابٌ", ["مُحَمَّدٌ", "كِتَابٌ"]),
    "persian": ("می\u200cخواهم", ["می\u200cخواهم"]),
    "decomposed": ("cafe\u0301 Nai\u0308ve", ["café", "naïve"]),
    "soft-hyphen": ("co\u00adop_x", ["coop", "x"]),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_words_of_other_scripts_stay_whole(name):
    text, words = SCRIPTS[name]
    assert READERS["words"](text) == words


def test_scripts_without_spaces():
    line = "我来到北京清华大学，well-known abc สวัสดี"
    whole = READERS["words"](line)
    assert whole[0] == "我来到北京清华大学"
    assert [word for word in whole if without_spaces(word)] == ["我来到北京清华大学", "สวัสดี"]
    one_by_one = READERS["characters"](line)
    assert one_by_one == [*"我来到北京清华大学", "well-known", "abc", "ส", "วั", "ส", "ดี"]
    pytest.importorskip("rjieba")
    segmented = READERS["segmented"](line)
    assert segmented[:4] == ["我", "来到", "北京", "清华大学"]
    assert segmented[4:] == ["well-known", "abc", "สวัสดี"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_a_byte_order_mark_says_how_a_file_reads(encoding, tmp_path):
    text = "gut schön\nform\x0cfeed line\u2028separator\nzwei"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    path = tmp_path / "text.txt"
    path.write_bytes((mark + text).encode(encoding))
    plain = tmp_path / "plain.txt"
    plain.write_bytes(text.encode())
    lines = [
        [list(words) for shard in file_shards([each], shards=3) for _, words in shard.lines()]
        for each in (path, plain)
    ]
    assert lines[0] == lines[1]
    assert lines[0] == [["gut", "schön"], ["form", "feed", "line", "separator"], ["zwei"]]


def test_gzipped_text_is_read_whole(tmp_path):
    text = "ein satz\n" * 50
    path = tmp_path / "text.txt.gz"
    path.write_bytes(gzip.compress(text.encode()))
    shards = file_shards([path], shards=4)
    assert sum(len(list(shard.lines())) for shard in shards) == 50
    path.write_bytes(gzip.compress(text.encode())[:-12])
    with pytest.raises(DanluError, match="cut short or damaged"):
        words_in(file_shards([path])[0])


def test_a_corpus_folder_without_what_machines_put_there(tmp_path):
    (tmp_path / ".git").mkdir()
    for name in (".git/config", ".DS_Store", "Thumbs.db", "b.txt", "a.txt"):
        (tmp_path / name).write_text("word")
    (tmp_path / "again.txt").symlink_to(tmp_path / "a.txt")
    os.mkfifo(tmp_path / "pipe")
    assert [path.name for path in files_below([tmp_path])] == ["a.txt", "b.txt"]
    with pytest.raises(DanluError, match="is a pipe, not a file"):
        file_shards([tmp_path / "pipe"])
