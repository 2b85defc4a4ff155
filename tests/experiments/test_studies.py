"""The studies run, compare what they say, and write their pages with every number in place."""

import pytest

from danlu.experiments.benchmarks import BENCHMARKS, amos, multilabel
from danlu.experiments.benchmarks.page import write_page
from danlu.losses import MULTILABEL


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


@pytest.mark.long
def test_amos_against_adamw(tmp_path, monkeypatch):
    monkeypatch.setattr(amos, "ROUNDS", 3)
    figures = BENCHMARKS["amos"](
        lambda line: None, search=1, steps=12, data="digits", folder=tmp_path
    )
    page = (tmp_path / "amos.md").read_text(encoding="utf-8")
    for task in amos.TASKS:
        rows = figures[task]
        assert set(rows) == set(amos.OPTIONS)
        assert rows["Amos"]["state"] < 0.51
        assert rows["Amos, no momentum"]["state"] < 0.01
        assert all(f"{row['loss']:.4f}" in page for row in rows.values())
        assert (tmp_path / f"amos-{task}.png").stat().st_size > 5000


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


def test_mosaics_mark_what_they_show():
    """With constant tiles of known classes, the filled quarters are where the marks are."""
    import torch

    from danlu.contracts import DataDescription
    from danlu.data import Examples

    description = DataDescription(shape=(1, 4, 4), levels=None, low=-1.0, high=3.0, classes=3)
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
