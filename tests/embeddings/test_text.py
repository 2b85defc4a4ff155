"""Words from text: readers, vocabularies, shards, several processes, bad input."""

import numpy as np
import pytest

from danlu.contracts import DanluError
from danlu.embeddings import Counting, Sentences, SkipGram, SvdPpmi, Vocabulary, file_shards
from danlu.embeddings.counting import count_pairs
from danlu.embeddings.encoded import encoded
from danlu.embeddings.text import READERS, words_in
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
    with pytest.raises(DanluError, match=r"no UTF-8 text \(line at byte 4\)"):
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
