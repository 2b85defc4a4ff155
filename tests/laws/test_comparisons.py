"""No law compares but by `gaps`: what could let a NaN or another shape pass is found by reading."""

import ast
import math
import re
from pathlib import Path

import pytest

from danlu import laws as checks
from danlu.laws import gaps, laws, measured

HOME = Path(checks.__file__).parent
REDUCTIONS = {"allclose", "amax", "amin", "argmax", "equal", "isclose", "max", "min"}

ALLOWED = {
    "conditioners": "which answers differ by more than nothing; a share in standard errors",
    "constants": "the edges of what was drawn, and how many draws lie beyond a place",
    "constants_mixers": "what must be 0 is compared by its size; a bound on a mean",
    "constants_positions": "what must be 0 is compared by its size",
    "constants_recurrent": "what must be 0 is compared by its size",
    "couplings.optimal_is_least": "the oracle: the least of all permutations, of the data alone",
    "data._moons_log_density": "the oracle: the largest exponent is taken out of a sum",
    "deberta_distances": "the oracle: clipped distances",
    "definitions": "a scale; `gap` sees the same numbers",
    "definitions_attention": "the oracle: windows, and buckets by the largest product",
    "definitions_gated": "the oracle: distances and ends of chunks",
    "definitions_pictures": "the oracle: the nearest code, the busiest code",
    "definitions_positions": "the oracle: clipped distances",
    "definitions_rotations": "the oracle: a ramp between 0 and 1",
    "definitions_rows": "the oracle: windows, and the cheapest of all groups",
    "every_metric._comparison": "the oracle: the likeliest class",
    "evaluation._nearest_training_by_loops": "the oracle: the nearest of all distances",
    "diffusion_parts.discrete_nodes": "the oracle: a rate with a largest value",
    "evaluation_definitions": "the oracle: the nearest of all, a median",
    "evaluation_features": "the oracle: the likeliest class; an order",
    "evidence.bounds_combine": "the oracle: the weaker of two bounds, by its place",
    "flow_layers": "what a solve may be off by is taken away, NaN stays; masks are yes or no",
    "generative_parts": "the likeliest id, and which are right",
    "language": "the oracle: the likeliest of all subsets, of whole numbers of tokens",
    "likelihood_definitions._scale": "the oracle: a scale with a largest value",
    "large_exponents.prepared": "scales of weights",
    "limits._examples": "classes that are drawn",
    "linear_attention_estimates.codes_start_at_keys": "the oracle: the distance of the nearest",
    "measuring.measured": "the worst of errors of which none is NaN any more",
    "memories.scans": "a scale; `gap` has seen the same numbers",
    "mixers_in_time.jacobian": "by token; NaN stays NaN",
    "multilabel_others._prediction_error": "the oracle: the likeliest class",
    "packers": "whole numbers: lengths and rooms",
    "packing": "whole numbers: lengths, costs and counts of targets",
    "positions": "the oracle: clipped distances",
    "precision.error_of": "sizes that errors are divided by",
    "recompute.plan_is_optimal": "the oracle: the best of all plans",
    "recompute_chains": "the oracle: the best of all plans, of numbers of bytes and seconds",
    "reflow.times_of_players": "the edges of what was drawn",
    "revolve._dynamic": "the oracle: the dynamic program",
    "rotary_scalings": "the oracle: a ramp between 0 and 1",
    "scan_sweep._by_head": "a size that errors are divided by",
    "sparse_attention.reformer_rounds": "a mean over what `gap` could not rank; NaN stays NaN",
    "steppers._stratified": "an order that must not be",
    "told.heard": "answers that stay equal to the bit are counted",
    "vae.bins_drawn": "which level a draw is",
    "vq.bound": "the place of the own ids among all",
    "yardsticks.whose": "the edges of the split that rows are of",
    "words_definitions": "the oracle: rates and shares with a least and a largest value",
}
"""Where in `laws` a reduction or an order of numbers is no comparison, and why."""


def reductions(path):
    """`file.function` of every reduction that drops a NaN, and of differences by hand."""
    tree = ast.parse(path.read_text())
    for top in tree.body:
        where = f"{path.stem}.{getattr(top, 'name', '')}"
        for node in ast.walk(top):
            if isinstance(node, ast.Call) and _reduces(node):
                yield where, node.lineno


def _reduces(call):
    if isinstance(call.func, ast.Name):
        if call.func.id in ("max", "min"):
            return True
        return call.func.id == "abs" and isinstance(call.args[0], ast.BinOp)
    if not isinstance(call.func, ast.Attribute):
        return False
    by_hand = call.func.attr == "abs" and isinstance(call.func.value, ast.BinOp)
    return by_hand or call.func.attr in REDUCTIONS


def allowed(where):
    return where in ALLOWED or where.partition(".")[0] in ALLOWED


FILES = sorted(path for path in HOME.rglob("*.py") if path.stem not in ("__init__", "gaps"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_laws_compare_by_gaps_alone(path):
    found = [f"{where}, line {line}" for where, line in reductions(path) if not allowed(where)]
    assert not found, "compare by danlu.laws.gaps, or say in ALLOWED why not"


def test_nothing_is_allowed_that_is_not_there():
    there = {where for path in FILES for where, _ in reductions(path)}
    there |= {where.partition(".")[0] for where in there}
    assert ALLOWED.keys() <= there


def test_reductions_are_found(tmp_path):
    path = tmp_path / "law.py"
    for line in (
        "max(a, b)",
        "(a - b).abs().sum()",
        "a.max().item()",
        "abs(a - b)",
        "torch.equal(a, b)",
    ):
        path.write_text(f"def law():\n    return {line}\n")
        assert len(list(reductions(path))) == 1, line


WITHOUT_NUMBERS = {
    "contract": "refusals, names and orders are counted",
    "definition": "packs and plans are whole",
    "enumeration": "packs and plans are whole",
    "multilabel/.*-gradients": "torch's gradcheck answers yes or no",
    "multilabel/.*/impossible": "which infinity it costs",
    "mixers/hippo-fourier/memory": "a ratio; NaN stays NaN",
    "mixers/mamba/scan-gradient": "torch's gradcheck answers yes or no",
    "mixers/performer/variance": "a ratio; NaN stays NaN",
    "packing/window-best-fit/fill": "a share above a bound",
    "reflow/straight.*": "a ratio; NaN stays NaN",
    "vae/principal-components": "what is not below is infinitely wrong, NaN too",
}
"""Oracles, and names, of laws that may go without a comparison of numbers, and why."""


@pytest.mark.long
@pytest.mark.parametrize("law", laws(), ids=lambda law: law.name)
def test_a_law_fails_where_its_comparisons_have_seen_a_nan(law, monkeypatch):
    seen = []

    def spoiled(error):
        seen.append(error)
        return math.inf

    monkeypatch.setattr(gaps, "_trusted", spoiled)
    (checked,) = measured([law])
    if not seen:
        names = [law.oracle, law.name]
        assert any(re.fullmatch(rule, name) for rule in WITHOUT_NUMBERS for name in names)
    else:
        assert not checked.holds
