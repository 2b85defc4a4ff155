"""What may be imported before a command runs, and what a layer may bring along."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "scipy", "sklearn", "matplotlib", "PIL")
LIGHT_ROOMS = ("losses", "layers", "solvers", "positions", "mixers")


def modules_after(code):
    """Top-level packages in memory after `code` ran in a fresh interpreter."""
    probe = (
        f"import sys, json\n{code}\n"
        "print('\\n' + json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_probe_sees_torch():
    assert "torch" in modules_after("import torch")


def test_the_root_is_light():
    assert modules_after("import danlu; danlu.__version__").isdisjoint(HEAVY)


def test_help_is_light():
    code = (
        "from danlu.cli.main import main\n"
        "try:\n    code = main(['--help'])\n"
        "except SystemExit as stop:\n    code = stop.code\n"
        "assert not code, code"
    )
    assert modules_after(code).isdisjoint(HEAVY)


def test_every_verb_is_light_until_it_runs():
    code = (
        "from danlu.cli.main import VERBS\n"
        "assert len(VERBS) >= 9, VERBS\n"
        "assert all(verb.EXAMPLES and verb.HELP for verb in VERBS.values())"
    )
    assert modules_after(code).isdisjoint(HEAVY)


@pytest.mark.parametrize("room", LIGHT_ROOMS)
def test_a_piece_needs_torch_numpy_and_jaxtyping_at_most(room):
    """One loss or layer in somebody's project brings none of the rest."""
    found = modules_after(f"import danlu.{room}")
    assert found.isdisjoint({"scipy", "sklearn", "matplotlib", "PIL", "rich", "safetensors"})


def test_the_root_is_lazy_and_says_what_it_lacks():
    import danlu

    assert {"load", "check", "__version__"} <= set(dir(danlu))
    assert callable(danlu.load)
    assert callable(danlu.check)
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        danlu.train  # noqa: B018
