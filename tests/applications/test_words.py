"""`danlu words` from text files to answers, scores and classes; bad input is one line."""

import json

import numpy as np
import pytest

from danlu.applications.words.classification import CLASSIFIERS, read_labelled
from danlu.applications.words.scoring import read_pairs, score_pairs, score_questions
from danlu.applications.words.sentiment import read_snippets
from danlu.cli.main import main
from danlu.contracts import DanluError
from danlu.embeddings import WordVectors, load_vectors

SMALL = ("--set", "dim=4", "--min-count", "1")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    random = np.random.default_rng(0)
    lines = []
    for _ in range(200):
        beast = random.choice(["cat", "dog", "hen"])
        food = random.choice(["bread", "cheese", "fruit"])
        lines.append(f"The {beast} eats some {food}.")
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def command(capsys):
    def run(*words):
        capsys.readouterr()
        code = main(["words", *map(str, words)])
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("form", "name"), [("danlu", "v"), ("word2vec", "v.txt"), ("word2vec-binary", "v.bin")]
)
def test_fit_and_ask(form, name, corpus, command, tmp_path):
    out = tmp_path / name
    code, text, _ = command("fit", corpus, "--out", out, "--format", form, *SMALL)
    assert code == 0
    assert "1,000 words of 9 kinds" in text
    code, text, _ = command("neighbours", out, "cat", "--n", "2", "--json")
    assert {row["word"] for row in json.loads(text)} == {"dog", "hen"}
    code, text, _ = command("analogy", out, "cat", "dog", "bread", "--n", "3")
    assert code == 0
    assert len(text.splitlines()) == 3


def test_eval_reads_pairs_and_questions(corpus, command, tmp_path):
    out = tmp_path / "vectors"
    assert command("fit", corpus, "--out", out, *SMALL)[0] == 0
    pairs, questions = tmp_path / "pairs.tsv", tmp_path / "questions.txt"
    pairs.write_text("# a comment\ncat\tdog\t9\ncat\tbread\t1\nhen\tcheese\t2\nDog\thorse\t5\n")
    questions.write_text(": animals\ncat bread dog bread\ncat cow dog bull\n")
    _, text, _ = command("eval", out, "--pairs", pairs, "--questions", questions, "--json")
    found = json.loads(text)
    assert found["pairs.tsv"]["covered"] == 3
    assert found["pairs.tsv"]["total"] == 4
    assert found["questions.txt"]["total"] == 2


def test_figures_against_numbers_by_hand():
    import torch

    matrix = torch.tensor([[1.0, 0.0], [1.0, 0.2], [1.0, 1.0], [0.0, 1.0]])
    vectors = WordVectors([*"abcd"], matrix)
    pairs = [("a", "b", 9.0), ("A", "c", 5.0), ("a", "d", 7.0)]  # ranks 3 2 1 against 3 1 2
    assert score_pairs(vectors, pairs).value == pytest.approx(0.5)
    asked = [("a", "b", "d", "c"), ("a", "b", "d", "a"), ("a", "b", "d", "x")]
    score = score_questions(vectors, asked)
    assert (score.value, score.covered, score.total) == (0.5, 2, 3)


def test_every_classifier_learns_words_that_tell(command, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("danlu.applications.words.classification.BUCKETS", 1024)
    random = np.random.default_rng(1)
    path = tmp_path / "reviews.tsv"
    lines = []
    for i in range(120):
        beast = ["cat", "bread"][i % 2]
        rest = random.choice(["some", "the", "eats"], 3)
        lines.append(f"{'animal' if i % 2 == 0 else 'food'}\t{beast} {' '.join(rest)}")
    path.write_text("\n".join(lines))
    out = tmp_path / "vectors"
    assert command("fit", corpus, "--out", out, *SMALL)[0] == 0
    code, text, _ = command("classify", path, "--vectors", out, "--held-out", "0.25", "--json")
    assert code == 0
    found = json.loads(text)
    assert (found["train"], found["test"]) == (90, 30)
    assert found["accuracy"] == dict.fromkeys(CLASSIFIERS, 1.0)


def test_labels_in_the_form_of_fasttext(tmp_path):
    path = tmp_path / "labelled.txt"
    path.write_text("__label__good a fine film\n__label__bad dull\n" * 6)
    found = read_labelled(path)
    assert found.classes == ("bad", "good")
    assert found.texts[0] == ["a", "fine", "film"]


def test_snippets_with_a_clear_rating(tmp_path):
    path = tmp_path / "snippets.txt"
    path.write_text("1\t2.5\tA joy\n2\t0.2\tSo so\n3\t-1\tDreary\n")
    found = read_snippets(path)
    assert [found.classes[label] for label in found.labels] == ["praise", "blame"]
    with pytest.raises(DanluError, match="vaderSentiment"):
        read_snippets(tmp_path / "absent")


BAD = [
    (("fit", "absent.txt", "--out", "v"), "absent.txt: No such file"),
    (("fit", "{corpus}", "--out", "v", "--method", "svd"), "Unknown method of word vectors 'svd'"),
    (("fit", "{corpus}", "--out", "v", "--set", "dimm=3"), "did you mean 'dim'?"),
    (("fit", "{corpus}", "--out", "v", "--set", "dim=x"), "dim takes a whole number, got 'x'"),
    (("fit", "{corpus}", "--out", "v", "--reader", "braun"), "did you mean 'brown'?"),
    (("fit", "{corpus}", "--out", "v"), "need at least as many words"),
    (("fit", "{corpus}", "--out", "v", "--min-count", "999"), "no word that occurs 999 times"),
    (("fit", "{corpus}", "--out", "v", "--format", "vec"), "Unknown format 'vec'"),
    (("neighbours", "{corpus}", "cat"), "is no word2vec file"),
    (("neighbours", "absent", "cat"), "No such file"),
    (("classify", "{corpus}"), "expected `label<TAB>text`"),
    (("neighbors", "v", "cat"), "invalid choice: 'neighbors'"),
    ((), "ACTION"),
]


@pytest.mark.parametrize(("words", "message"), BAD, ids=lambda value: str(value)[:40])
def test_bad_input_is_one_line(words, message, corpus, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(*(str(word).format(corpus=corpus) for word in words))
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert out.count("Traceback") == 0
    assert not (tmp_path / "v").exists()


def test_unknown_words_are_answered_with_the_nearest(corpus, command, tmp_path):
    out = tmp_path / "vectors"
    assert command("fit", corpus, "--out", out, *SMALL)[0] == 0
    code, _, err = command("neighbours", out, "breed")
    assert (code, err) == (2, "danlu: Unknown word 'breed'; did you mean 'bread'?\n")


def test_lines_of_pairs_that_are_none(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("word1,word2,rating\na,b,1\na,b\n")
    with pytest.raises(DanluError, match="line 3: expected two words and a number"):
        read_pairs(path)


def test_a_limit_on_memory_changes_nothing(corpus, command, tmp_path, monkeypatch):
    monkeypatch.setattr("danlu.applications.words.fitting.LEAST_ENTRIES", 4)
    for name, memory in (("roomy", "1"), ("tight", "1e-9")):
        out = tmp_path / name
        assert command("fit", corpus, "--out", out, "--memory", memory, *SMALL)[0] == 0
    roomy, tight = (load_vectors(tmp_path / name).matrix for name in ("roomy", "tight"))
    assert (roomy == tight).all()


def labelled(tmp_path, content):
    path = tmp_path / "labelled"
    path.write_bytes(content)
    return read_labelled(path)


@pytest.mark.parametrize("line", ["{} {}", "{}\t{}"], ids=["space", "tab"])
def test_labels_of_fasttext_end_at_any_space(line, tmp_path):
    rows = [
        line.format(f"__label__{'pos' if i % 2 else 'neg'}", f"word{i} more") for i in range(30)
    ]
    found = labelled(tmp_path, "\n".join(rows).encode())
    assert found.classes == ("neg", "pos")
    assert found.texts[3] == ["word3", "more"]


def test_a_byte_order_mark_is_no_third_class(tmp_path):
    text = "pos\tgood\nneg\tbad\n" * 5
    for encoding in ("utf-8-sig", "utf-16"):
        assert labelled(tmp_path, text.encode(encoding)).classes == ("neg", "pos")


def test_lines_end_where_editors_end_them(tmp_path):
    text = 'pos\tone\u2028two\x0cthree\x85four "five\r\nneg\tsix" seven\n' * 5
    found = labelled(tmp_path, text.encode())
    assert len(found.texts) == 10
    assert found.texts[0] == ["one", "two", "three", "four", "five"]


def test_several_labels_and_other_encodings_are_refused(tmp_path):
    rows = b"__label__a __label__b some text\n" * 12
    with pytest.raises(DanluError, match="line 1 has several labels"):
        labelled(tmp_path, rows)
    with pytest.raises(DanluError, match=r"no UTF-8 text \(byte 7\).*iconv"):
        labelled(tmp_path, ("pos\tschön und gut\n" * 12).encode("latin-1"))


def test_what_is_said_of_text_without_spaces_and_of_vectors(command, tmp_path):
    corpus = tmp_path / "text.txt"
    corpus.write_text("我来到北京清华大学\n" * 9 + "one two three four five six\n" * 9)
    code, text, _ = command("fit", corpus, "--out", tmp_path / "v", *SMALL)
    assert code == 0
    assert "clauses of a script that has no spaces" in text
    (tmp_path / "twice.txt").write_text("a 1 2\na 3 4\nb 5 6\n")
    code, text, _ = command("neighbours", tmp_path / "twice.txt", "a")
    assert code == 0
    assert "several vectors, of which the first counts: 'a'" in text
