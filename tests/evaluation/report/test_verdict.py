from dataclasses import replace

import pytest

from danlu.evaluation.results import Measured, Results, Row, RowKind
from danlu.evaluation.verdict import judge

DISTANCE = "frechet@classifier"


def model(name, distance, stderr=0.1, agreement=0.9, **facts):
    metrics = {
        DISTANCE: Measured(distance, stderr),
        "class-agreement": Measured(agreement, 0.01),
    }
    return Row(name=name, kind=RowKind.MODEL, metrics=metrics, **facts)


def results(*rows, seeds=3, held_out=10_000):
    return Results(
        title="Race",
        data="digits",
        description={"shape": [1, 8, 8]},
        rows=list(rows),
        seed=0,
        seeds=seeds,
        split={},
        features={},
        machine={},
        held_out=held_out,
        reference="test split",
        command="danlu race digits",
        version="0",
        budget=240.0,
    )


def test_the_sentence_names_winner_runner_up_and_the_difference_against_noise():
    verdict = judge(results(model("b", 5.0), model("a", 3.0), model("c", 9.0)))
    assert verdict.ranking == ("a", "b", "c")
    assert verdict.winner == "a"
    assert verdict.sentence == (
        "Use a for digits on a budget of 4 minutes: its Fréchet distance on classifier features "
        "is 3.00 ± 0.10, against 5.00 ± 0.10 for the runner-up b, a difference of 14.1 standard "
        "errors."
    )


def test_level_models_are_told_apart_by_the_cost_of_sampling_and_by_nothing_else():
    slow = model("a", 3.0, agreement=0.99, sample_seconds=9.0, samples=1000)
    fast = model("b", 3.1, agreement=0.80, sample_seconds=1.0, samples=1000)
    verdict = judge(results(slow, fast))
    assert verdict.ranking == ("b", "a")
    assert "level within the noise (0.7 standard errors)" in verdict.sentence
    assert "the cost of sampling decides, 1 s against 9 s for 1,000 samples" in verdict.sentence


def test_a_model_that_is_no_better_than_shuffled_values_is_below_the_sanity_line():
    line = replace(model("values shuffled", 8.0), kind=RowKind.SANITY)
    reasons = judge(results(model("a", 3.0), model("b", 8.5), line)).reasons
    assert [reason.split()[0] for reason in reasons if "sanity line" in reason] == ["b"]


def test_confused_classes_are_told_beside_the_floor():
    floor = replace(model("floor", 1.0, agreement=0.98), kind=RowKind.FLOOR)
    rows = (model("a", 3.0, agreement=0.68), model("b", 5.0, agreement=0.9), floor)
    told = [reason for reason in judge(results(*rows)).reasons if "Classes" in reason]
    assert told == [
        "Classes are confused; class agreement of a 68.0 ± 1.0 %, where held-out data reach "
        "98.0 ± 1.0 %."
    ]


def test_a_budget_of_examples_is_told():
    race = replace(results(model("a", 3.0), model("b", 5.0)), budget=0.0, examples=20_000)
    assert "on a budget of 20,000 examples for each model" in judge(race).sentence


def test_models_that_nothing_tells_apart_are_said_to_be_so():
    verdict = judge(results(model("a", 3.0), model("b", 3.1)))
    assert "nothing measured tells them apart" in verdict.sentence


def test_a_better_agreement_does_not_beat_a_distance_beyond_the_noise():
    verdict = judge(results(model("a", 3.0, agreement=0.5), model("b", 4.0, agreement=1.0)))
    assert verdict.winner == "a"


def test_without_noise_of_its_own_the_difference_is_told_by_kid():
    a, b = model("a", 3.0, None), model("b", 4.0, None)
    assert "was not measured" in judge(results(a, b)).sentence
    a.metrics["kid@classifier"], b.metrics["kid@classifier"] = (
        Measured(0.0, 0.3),
        Measured(2.0, 0.4),
    )
    assert "they are 4.0 standard errors apart" in judge(results(a, b)).sentence
    a.metrics["kid@classifier"] = Measured(4.0, 0.3)
    assert "but on KID b is ahead by 4.0 standard errors" in judge(results(a, b)).sentence
    a.metrics["kid@classifier"] = Measured(2.1, 0.3)
    assert "the two stand level" in judge(results(a, b)).sentence


@pytest.mark.parametrize("kind", [kind for kind in RowKind if kind is not RowKind.MODEL])
def test_yardsticks_never_win(kind):
    yardstick = replace(model("yardstick", 0.001, agreement=1.0), kind=kind)
    verdict = judge(results(yardstick, model("a", 3.0), model("b", 5.0)))
    assert verdict.ranking == ("a", "b")
    assert any("yardstick 0.00" in reason for reason in verdict.reasons)


def test_a_failed_model_is_not_ranked_and_its_reason_is_given():
    failed = model("b", 0.1, failure="loss became NaN")
    verdict = judge(results(model("a", 3.0), failed))
    assert verdict.ranking == ("a",)
    assert "b has no figures: loss became NaN" in verdict.reasons
    assert "it alone has one" in verdict.sentence


def test_when_every_model_failed_nothing_is_recommended():
    verdict = judge(results(model("a", 3.0, failure="NaN")))
    assert verdict.winner is None
    assert verdict.sentence == "No model can be recommended for digits: no model finished."


def test_a_model_with_a_figure_that_is_not_finite_comes_last():
    verdict = judge(results(model("a", float("nan"), agreement=1.0), model("b", 5.0)))
    assert verdict.ranking == ("b", "a")
    assert "it alone has one" in verdict.sentence


def test_one_model_alone_is_no_comparison():
    assert judge(results(model("a", 3.0))).sentence.endswith("nothing was compared with it.")
    floor = replace(model("held-out data", 1.0, None), kind=RowKind.FLOOR)
    verdict = judge(results(model("a", 3.0), floor))
    assert verdict.sentence.endswith("is 3.00 ± 0.10; held-out data would have 1.")


def test_points_are_judged_by_their_wasserstein_distance():
    a = Row(name="a", kind=RowKind.MODEL)
    b = Row(name="b", kind=RowKind.MODEL)
    a.metrics = {"frechet@pixels": Measured(0.1), "wasserstein": Measured(0.6, 0.01)}
    b.metrics = {"frechet@pixels": Measured(0.2), "wasserstein": Measured(0.2, 0.01)}
    verdict = judge(results(a, b))
    assert (verdict.metric, verdict.winner) == ("wasserstein", "b")
    assert "its Wasserstein distance is 0.200 ± 0.010" in verdict.sentence


def test_kid_in_the_better_features_decides_where_there_is_no_classifier():
    a = Row(name="a", kind=RowKind.MODEL, metrics={"kid@pixels": Measured(1.0, 0.1)})
    b = Row(name="b", kind=RowKind.MODEL, metrics={"kid@pixels": Measured(2.0, 0.1)})
    a.metrics["kid@random"], b.metrics["kid@random"] = Measured(2.0, 0.1), Measured(1.0, 0.1)
    assert judge(results(a, b)).metric == "kid@random"
    a.metrics["kid@mine"], b.metrics["kid@mine"] = Measured(1.0, 0.1), Measured(2.0, 0.1)
    assert judge(results(a, b)).metric == "kid@mine"


def test_caveats_name_low_coverage_copies_missed_modes_one_seed_and_few_images():
    a, b = model("a", 3.0), model("b", 5.0)
    floor = replace(model("floor", 1.0), kind=RowKind.FLOOR)
    for row, coverage in ((a, 0.6), (b, 0.8), (floor, 0.95)):
        row.metrics = {**row.metrics, "coverage@classifier": Measured(coverage, 0.01)}
    a.metrics["neighbour-distance"] = Measured(0.2, 0.05)
    b.metrics["neighbour-distance"] = Measured(0.45, 0.05)
    b.metrics["modes-hit"] = Measured(0.875)
    reasons = judge(results(a, b, floor, seeds=1, held_out=300)).reasons
    assert [reason for reason in reasons if "coverage" in reason] == [
        "Part of the data is left out; coverage of a 60.0 ± 1.0 %, where held-out data reach "
        "95.0 ± 1.0 %."
    ]
    assert [reason.split()[0] for reason in reasons if "repeat training" in reason] == ["a"]
    assert "b misses modes: it hits 87.5 % of them." in reasons
    assert any(reason.startswith("One seed") for reason in reasons)
    assert any("300 held-out images" in reason for reason in reasons)
