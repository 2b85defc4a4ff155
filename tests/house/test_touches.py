"""What it takes to add a member: CONTRIBUTING promises how many files, a copy of the tree counts.

Each toy of `toys/` is added to a copy as a reader of CONTRIBUTING would: its file, its line. The
copy is then compared with the original, file by file, and used: the toy is listed, its laws are
measured, and something is trained with it. Methods pages are generated, so they do not count.
"""

import filecmp
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOYS = Path(__file__).parent / "toys"
LIBRARY = Path("src/danlu")
SMALL = "--steps 1 --set train.batch=8"


@dataclass(frozen=True)
class Toy:
    """A member to be added.

    Attributes:
        name: its public name.
        room: the package whose `__init__.py`, or the module, that has the table.
        table: name of the table; the row becomes its first.
        files: where each file of `toys/` goes.
        imports: line that the table's module needs.
        row: the line of the table.
        most: files that may change.
        listed: the table's name for `danlu list`; empty where it is none of methods.
        laws: whose laws are measured.
        commands: of danlu, what follows the program's name; each must end with 0.
        checked: whose laws, where they do not have its name.
        code: what is run after the commands.
    """

    name: str
    room: str
    table: str
    files: dict[str, str]
    imports: str
    row: str
    most: int
    listed: str
    laws: int
    commands: tuple[str, ...]
    checked: str = ""
    code: str = ""


LAYER_STEP = """
import torch
from danlu.contracts import Batch, Progress
from danlu.generative.chain import Chain
from danlu.generative.parts import LAYERS
from danlu.generative.parts.priors import GaussianPrior
from danlu.generative.tiny import TINY_VECTOR

layers = [LAYERS[name].build((2,)) for name in ("toy-layer", "actnorm")]
model = Chain(TINY_VECTOR, layers, GaussianPrior(TINY_VECTOR))
assert "toy" in type(model.links[0]).__module__, model.links
batch = Batch(torch.randn(8, 2), None, torch.arange(8))
model.loss(batch, "model", Progress(step=0, fraction=0.0, seed=0)).total.backward()
assert all(p.grad is not None and p.grad.isfinite().all() for p in layers[1].parameters())
assert model.sample(3).isfinite().all()
"""

MEMBERS = (
    Toy(
        name="toy-solver",
        room="generative/diffusion/__init__.py",
        table="SOLVERS",
        files={"solver.py": "generative/diffusion/solvers/toy_solver.py"},
        imports="from danlu.generative.diffusion.solvers.toy_solver import ToySolver",
        row='"toy-solver": Method(ToySolver, ("a book",), ToySolver),',
        most=2,
        listed="solvers",
        laws=4,
        commands=(
            f"train rectified-flow two-moons {SMALL} --set sampler.solver=toy-solver --out run",
        ),
    ),
    Toy(
        name="toy-position",
        room="positions/__init__.py",
        table="POSITIONS",
        files={"position.py": "positions/toy_position.py"},
        imports="from danlu.positions.toy_position import ToyPosition",
        row='"toy-position": Method(ToyPosition, ("arXiv:1812.02014",), ToyPosition),',
        most=2,
        listed="positions",
        laws=8,
        commands=(
            f"train lm text.txt {SMALL} --size 8 --set model.position=toy-position --out run",
        ),
    ),
    Toy(
        name="toy-metric",
        room="evaluation/metrics/__init__.py",
        table="METRICS",
        files={"metric.py": "evaluation/metrics/toy_metric.py"},
        imports="from danlu.evaluation.metrics.toy_metric import ToyMetric",
        row='"toy-metric": Method(ToyMetric, ("arXiv:1706.08500",), ToyMetric),',
        most=2,
        listed="metrics",
        laws=2,
        commands=(f"train vae two-moons {SMALL} --out run", "eval run --json"),
    ),
    Toy(
        name="toy-source",
        room="data/__init__.py",
        table="SOURCES",
        files={"source.py": "data/densities/toy_density.py"},
        imports="from danlu.data.densities.toy_density import ToyDensity",
        row='"toy-source": _density("toy-source", ToyDensity, "a book"),',
        most=2,
        listed="sources",
        laws=2,
        commands=(f"train vae toy-source {SMALL} --out run",),
    ),
    Toy(
        name="toy-divergence",
        room="losses/__init__.py",
        table="DIVERGENCES",
        files={"divergence.py": "losses/toy_divergence.py"},
        imports="from danlu.losses.toy_divergence import TOY_MARGINS",
        row='"toy-divergence": Method(TOY_MARGINS, ("arXiv:1705.02894",), lambda: TOY_MARGINS),',
        most=2,
        listed="divergences",
        laws=1,
        commands=(f"train gan two-moons {SMALL} --set model.divergence=toy-divergence --out run",),
    ),
    Toy(
        name="toy-layer",
        room="generative/parts/__init__.py",
        table="LAYERS",
        files={"layer.py": "generative/parts/toy_layer.py"},
        imports="from danlu.generative.parts.toy_layer import ToyLayer",
        row='"toy-layer": Method(ToyLayer, ("Johnson 1949",), lambda shape=PAIR: ToyLayer()),',
        most=2,
        listed="layers",
        laws=4,
        checked="flow-layers",
        commands=(),
        code=LAYER_STEP,
    ),
    Toy(
        name="toy-family",
        room="generative/__init__.py",
        table="FAMILIES",
        files={
            "family.py": "generative/toy_family.py",
            "family_laws.py": "laws/generative/toy_family.py",
        },
        imports="from danlu.generative import toy_family",
        row='"toy-family": Family(toy_family.ToyGaussian, ("a book",), toy_family.ToyGaussian, '
        "recipes=toy_family.RECIPES),",
        most=3,
        listed="families",
        laws=10,
        commands=(
            "train toy-family two-moons --steps 2 --out run",
            "sample run --n 4 --out more.npz",
        ),
    ),
    Toy(
        name="toy-count",
        room="cli/main.py",
        table="VERBS",
        files={"verb.py": "cli/toy_count.py"},
        imports="from danlu.cli import toy_count",
        row='"toy-count": toy_count,',
        most=3,
        listed="",
        laws=0,
        commands=("toy-count", "toy-count --help"),
    ),
)


def add(toy, tree):
    """Write the toy's files and its line."""
    for source, home in toy.files.items():
        path = tree / LIBRARY / home
        assert not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOYS / source, path)
    path = tree / LIBRARY / toy.room
    text = path.read_text(encoding="utf-8")
    opening = re.search(rf"^{toy.table}\b.*\{{$", text, re.MULTILINE)
    first = re.search(r"^(from|import) ", text, re.MULTILINE)
    assert opening, f"{toy.room} has no table {toy.table}"
    assert first
    text = f"{text[: opening.end()]}\n    {toy.row}{text[opening.end() :]}"
    text = f"{text[: first.start()]}{toy.imports}\n{text[first.start() :]}"
    path.write_text(text, encoding="utf-8")


def copied(place):
    """The sources alone, without what running them left."""
    shutil.copytree(ROOT / "src", place / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return place


def changed(tree):
    """Files of the copy that are new or other than in the original; none may be gone."""
    found, pending = [], [filecmp.dircmp(ROOT / "src", tree / "src", ignore=["__pycache__"])]
    while pending:
        here = pending.pop()
        assert not here.left_only, here.left_only
        found += [Path(here.right) / name for name in (*here.right_only, *here.diff_files)]
        pending += here.subdirs.values()
    return [each for path in found for each in ([path] if path.is_file() else path.rglob("*.py"))]


SCRIPT = """
import sys
from danlu.cli.main import main
code, *commands = sys.argv[1:]
for command in commands:
    print("$", command, flush=True)
    end = main(command.split())
    assert end == 0, (command, end)
exec(code, {})
"""


def used(tree, folder, commands, code):
    """What danlu prints, run from the copy."""
    shutil.copy(TOYS.parent / "fixtures" / "text.txt", folder)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, code, *commands],
        cwd=folder,
        env={"PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1", "COLUMNS": "200",
             "DANLU_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.long
@pytest.mark.parametrize("toy", MEMBERS, ids=lambda toy: toy.name)
def test_a_toy_touches_what_is_promised(toy, tmp_path):
    tree, folder = copied(tmp_path / "tree"), tmp_path / "work"
    folder.mkdir()
    assert changed(tree) == []
    add(toy, tree)
    assert 2 <= len(changed(tree)) <= toy.most
    listing = [f"list {toy.listed}"] if toy.listed else []
    laws = [f"check {toy.checked or toy.name}"] if toy.laws else []
    said = used(tree, folder, [*listing, *laws, *toy.commands], toy.code)
    assert toy.name in said.replace(" ".join(("$", f"check {toy.name}")), "")
    if laws:
        hold, total = map(int, re.search(r"(\d+) of (\d+) laws hold", said).groups())
        assert hold == total >= toy.laws


def test_the_count_sees_every_change(tmp_path):
    """The oracle of the counting: three files written by hand are three."""
    tree = copied(tmp_path / "tree")
    (tree / LIBRARY / "positions" / "new.py").write_text("")
    (tree / LIBRARY / "new" / "deep").mkdir(parents=True)
    (tree / LIBRARY / "new" / "deep" / "file.py").write_text("")
    old = tree / LIBRARY / "positions" / "none.py"
    old.write_text(old.read_text() + "# more\n")
    assert len(changed(tree)) == 3
    old.unlink()
    with pytest.raises(AssertionError, match=r"none\.py"):
        changed(tree)
