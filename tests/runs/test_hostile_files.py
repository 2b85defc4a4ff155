"""Nothing that is read runs what it holds: every loader, on a hostile file of its format.

A process of its own listens to everything that Python audits while the library opens the files.
What would run code is heard: looking a class up for a pickle, a shell, a new process, a socket, or
executing code that came from no file of an installed package.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx")
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    home = tmp_path_factory.mktemp("hostile")
    script = Path(__file__).parent / "hostile_files.py"
    done = subprocess.run(
        [sys.executable, str(script), str(home)],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_listener_hears_what_it_should(found):
    controls = [case for name, case in found.items() if name.startswith("control")]
    assert len(controls) == 4
    assert all(case["heard"] and case["touched"] for case in controls), controls


def test_no_loader_runs_what_a_file_holds(found):
    loud = {name: case for name, case in found.items() if not name.startswith("control")
            and (case["heard"] or case["touched"])}  # fmt: skip
    assert loud == {}
    assert len(found) > 30


def test_every_refusal_is_one_of_ours(found):
    strange = {name: case["ended"] for name, case in found.items() if "Error: " in case["ended"]}
    assert strange == {}


DANGEROUS = {
    "torch.load(": {"training/checkpoint.py"},  # with weights_only
    "torch.export.load(": {"runs/export/formats.py"},  # what export wrote a moment before
    "yaml.load(": {"training/records.py"},  # plain data alone
    "np.load(": {"data/stored.py", "embeddings/counting.py"},  # without pickles
    "Image.open(": {"data/decoding.py", "evaluation/report/album.py", "runs/tracking.py"},
    "InferenceSession(": {"evaluation/features/exported.py", "runs/export/formats.py"},
    "pickle.": set(),
    "shelve.": set(),
    "yaml.unsafe_load(": set(),
    "yaml.full_load(": set(),
    "joblib.": set(),
    " eval(": set(),
    " exec(": set(),
}
"""Loaders that can run code, or whose formats are many, and where each is used with care."""


@pytest.mark.parametrize("loader", DANGEROUS)
def test_a_new_use_of_a_loader_needs_a_hostile_file(loader):
    source = Path(__file__).parents[2] / "src" / "danlu"
    found = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if any(
            loader in f" {line}" and not line.lstrip().startswith(("#", '"', "`"))
            for line in path.read_text().splitlines()
        )
    }
    assert found == DANGEROUS[loader]
