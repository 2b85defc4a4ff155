"""The tool behind `make mutants`: what it changes, and a sample of it against the laws."""

import ast
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "src" / "danlu"


def loaded(name):
    """A file beside this one, which is run by its folder and is in no package."""
    spec = util.spec_from_file_location(name, HERE / f"{name}.py")
    module = util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


sites = loaded("sites")

SOURCE = '''
"""A file of 3 kinds of places."""
RHO = 7.0
TINY = Rate(3)

def rate(x: Float[Tensor, "3 4"], power: int = 2) -> float:
    """Not 5 of this."""
    if x.dim() < 1:
        raise DanluError(f"need {1 + 1} axes")
    y = x.square().sum(-1)[0]  # sum
    return -(y * 0.5 + relu(y)) if y > 0 else f"{y + 1}" + "a"
'''

EXPECTED = {
    ("RHO = 7.0", "RHO = 10.5"),
    ("2", "3"),
    ("2", "1"),
    ("y = x.square().sum(-1)[0]", "y = x.abs().sum(-1)[0]"),
    ("y = x.square().sum(-1)[0]", "y = x.square().mean(-1)[0]"),
}


def test_only_formulas_change():
    mutants = sites.mutants_of("rate.py", SOURCE)
    changes = {(mutant.before, mutant.after) for mutant in mutants}
    assert changes >= EXPECTED
    returned = {after for before, after in changes if before.startswith("return")}
    for part in ("+(y * 0.5", "y / 0.5", "0.75", "- relu(y)", "gelu(y)", "y <= 0", "y > 1"):
        assert any(part in after for after in returned), part
    # No message, no annotation, no guard, no axis, no text.
    assert len(changes) == len(EXPECTED) + 7
    assert {mutant.imported for mutant in mutants if mutant.before == "2"} == {True}


def test_a_mutant_differs_in_one_place():
    original = ast.dump(ast.parse(SOURCE))
    for mutant in sites.mutants_of("rate.py", SOURCE):
        changed = ast.dump(sites.mutated(SOURCE, mutant))
        assert changed != original
        compile(sites.mutated(SOURCE, mutant), "rate.py", "exec")


def test_a_fault_written_by_hand_replaces_its_text_once():
    mutant = sites.replaced("rate.py", SOURCE, "RHO = 7.0", "RHO = 5.0")
    assert ast.unparse(sites.mutated(SOURCE, mutant)).count("RHO = 5.0") == 1
    with pytest.raises(ValueError, match="2 times"):
        sites.replaced("rate.py", SOURCE, "sum", "mean")


def rows_of(name):
    return yaml.safe_load((HERE / name).read_text()) or []


@pytest.mark.parametrize("row", rows_of("equivalent.yaml"), ids=lambda row: row["before"])
def test_a_listed_mutant_still_is_one(row):
    source = (SOURCES / row["file"]).read_text()
    key = (row["file"], row.get("scope", ""), row["before"], row["after"])
    assert key in {mutant.key for mutant in sites.mutants_of(row["file"], source)}
    assert row["reason"]


@pytest.mark.parametrize("row", rows_of("unreached.yaml"), ids=lambda row: row["scope"])
def test_a_function_that_no_law_can_run_is_there(row):
    mutants = sites.mutants_of(row["file"], (SOURCES / row["file"]).read_text())
    assert row["scope"] in {mutant.scope.partition(".")[0] for mutant in mutants}
    assert row["reason"]


@pytest.mark.parametrize("row", rows_of("once_alive.yaml"), ids=lambda row: row["file"])
def test_a_fault_that_was_once_alive_can_still_be_put_in(row):
    sites.replaced(source=(SOURCES / row["file"]).read_text(), **row)


@pytest.mark.long
def test_laws_see_a_sample_of_mutants():
    """Twenty mutants and the faults that were once alive; one that nobody saw is named."""
    options = ["--total", "20", "--seed", "1", "--once-alive", "--at-least", "0.9"]
    command = [sys.executable, str(HERE), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nby hand" in done.stdout


GONE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import running
from sites import mutants_of
mutant = mutants_of("optim/amos.py", "RHO = 7.0")[0]
running.SOURCE = Path("nowhere")
print(running._tested(mutant, running.Baseline()).end)
"""


def test_a_source_that_goes_away_is_no_mutant_that_was_caught():
    command = [sys.executable, "-c", GONE, str(HERE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "lost\n", done.stderr
