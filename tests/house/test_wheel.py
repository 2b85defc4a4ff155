"""The wheel: the library alone, small, and enough to race from in an environment of its own."""

import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
MOST = 2 * 2**20
"""Bytes of the wheel."""
QUIET = ("--disable-pip-version-check", "--quiet", "--no-deps", "--no-index")


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from the tree as it stands."""
    home = tmp_path_factory.mktemp("wheel")
    code, said = run(
        sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(home), cwd=ROOT
    )
    assert code == 0, said
    (path,) = home.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A program that starts danlu from the wheel; what danlu needs is borrowed from this one.

    The borrowed folder is on the path without its `.pth` files, so that no editable install is.
    """
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    code, said = run(
        sys.executable, "-m", "pip", "--python", str(python), "install", *QUIET, str(wheel)
    )
    assert code == 0, said
    place = next(home.glob("lib/python*/site-packages"))
    (place / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home


def started(installed, folder, program, *arguments):
    """A program of the environment, with none of the variables of this process."""
    env = {"OMP_NUM_THREADS": "1", "DANLU_CACHE": str(folder / "cache"), "COLUMNS": "200"}
    return run(str(installed / "bin" / program), *arguments, cwd=folder, env=env)


def test_it_holds_the_library_and_nothing_else(wheel, capsys):
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        (metadata,) = (name for name in names if name.endswith("METADATA"))
        text = opened.read(metadata).decode()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"danlu"}
    library = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "danlu").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.startswith("danlu/")} == library
    code = "\n".join(path.read_text() for path in (ROOT / "src" / "danlu").rglob("*.py"))
    assert not re.search(r"^\s*(import|from) (pytest|danlu_bench)\b", code, re.MULTILINE)
    assert "danlu/py.typed" in library
    assert "Provides-Extra: test" in text
    with capsys.disabled():
        sys.stdout.write(f"\n{wheel.name}: {wheel.stat().st_size:,} bytes, {len(library)} files\n")
    assert wheel.stat().st_size < MOST


def test_the_library_comes_from_the_wheel(installed, tmp_path):
    code, said = started(installed, tmp_path, "python", "-c", "import danlu; print(danlu.__file__)")
    assert code == 0, said
    assert Path(said.strip()).is_relative_to(installed)


def test_it_races_for_twenty_steps(installed, tmp_path):
    code, said = started(
        installed, tmp_path, "danlu", "race", "digits", "--families", "vae,flow",
        "--examples", "1280", "--set", "train.batch=64", "--out", "race",
    )  # fmt: skip
    assert code == 0, said
    assert (tmp_path / "race" / "report.html").stat().st_size > 10_000
    for family in ("vae", "flow"):
        assert (tmp_path / "race" / family / "checkpoints" / "000020").is_dir()


def test_benchmarks_are_said_to_be_elsewhere(installed, tmp_path):
    code, said = started(installed, tmp_path, "danlu", "bench", "loop")
    assert code == 2
    assert said.splitlines() == [
        "danlu: Benchmarks and studies come with the repository: clone danlu and "
        "`pip install --editable .` there."
    ]
    assert started(installed, tmp_path, "danlu", "list", "families")[0] == 0
