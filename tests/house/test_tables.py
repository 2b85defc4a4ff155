"""The tables are the only registry: every row works, and nothing final is missing from them."""

import importlib
import inspect
import pkgutil

import pytest

import danlu
from danlu.catalogue.methods_page import module_of
from danlu.catalogue.rooms import ROOMS
from danlu.contracts import DanluError, Method
from danlu.data import SOURCES
from danlu.data.densities import Density
from danlu.data.packing import PACKERS
from danlu.data.packing.packer import Packer
from danlu.evaluation import METRICS
from danlu.evaluation.metrics.metric import Metric
from danlu.generative import FAMILIES
from danlu.generative.base import GenerativeModel
from danlu.generative.diffusion import PATHS, SOLVERS
from danlu.generative.diffusion.paths import Path
from danlu.generative.diffusion.solvers.solver import Solver
from danlu.generative.layer import Layer
from danlu.generative.parts import LAYERS
from danlu.generative.parts.transforms import TRANSFORMS, Transform
from danlu.losses import LIKELIHOODS
from danlu.losses.likelihoods import Likelihood
from danlu.mixers import MIXERS
from danlu.mixers.base import Mixer
from danlu.positions import POSITIONS
from danlu.positions.base import PositionEncoding
from danlu.solvers import STEPPERS
from danlu.solvers.steppers import Stepper

ROWS = [
    pytest.param(method, id=f"{room.page[:-3]}/{name}")
    for room in ROOMS
    for name, method in room.table.items()
]


def modules():
    """Every module of the library but the entry points."""
    for found in pkgutil.walk_packages(danlu.__path__, "danlu."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def is_table(value):
    return isinstance(value, dict) and any(isinstance(row, Method) for row in value.values())


def tables():
    """Identity -> home, for every table of methods that a package offers."""
    return {
        id(value): f"{module.__name__}.{name}"
        for module in modules()
        for name, value in vars(module).items()
        if hasattr(module, "__path__") and name.isupper() and is_table(value)
    }


def final_classes(base):
    """Concrete classes of the library below a base class, or with the shape of a protocol."""
    members = {name for name in {**vars(base), **inspect.get_annotations(base)} if name[0] != "_"}

    def belongs(value):
        if getattr(base, "_is_protocol", False):
            return all(hasattr(value, name) for name in members)
        return issubclass(value, base) and not inspect.isabstract(value)

    return {
        value
        for module in modules()
        for value in vars(module).values()
        if inspect.isclass(value)
        and value.__module__ == module.__name__
        and value is not base
        and belongs(value)
    }


def test_every_table_has_a_page():
    paged = {id(room.table) for room in ROOMS}
    assert [home for table, home in tables().items() if table not in paged] == []


def test_every_home_is_where_the_table_is():
    for room in ROOMS:
        package, _, name = room.home.rpartition(".")
        assert getattr(importlib.import_module(package), name) is room.table


@pytest.mark.parametrize("method", ROWS)
def test_row_has_sources_and_an_explanation(method):
    assert method.sources
    assert all(source.strip() for source in method.sources)
    text = inspect.getdoc(module_of(method)) or ""
    assert len(text) > 120, f"{module_of(method).__name__} does not explain its method"
    assert "Source" in text, f"{module_of(method).__name__} names no source"
    assert inspect.getdoc(method.target), f"{method.target} has no docstring"


def bases_of(target):
    return target.__mro__[1:] if inspect.isclass(target) else ()


def built(method):
    try:
        return method.build()
    except DanluError as error:
        if "dataset-fashion-mnist" in str(error):  # data that a package of the system brings
            return error
        raise


@pytest.mark.parametrize("method", ROWS)
def test_row_builds(method):
    assert built(method) is not None


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.home)
def test_public_names_are_spelled_for_the_command_line(room):
    assert [name for name in room.table if name != name.lower() or " " in name or "_" in name] == []


def test_every_family_is_in_the_table():
    built = {type(part) for row in FAMILIES.values() for part in row.build().modules()}
    reached = {parent for kind in built for parent in kind.__mro__}
    missing = final_classes(GenerativeModel) - reached
    # Parts, such as priors, are for families to be made of; a kernel density is never trained;
    # benchmarks train networks of other packages.
    exempt = (".parts.", ".kernel_density.", ".benchmarks.")
    assert [k for k in missing if not any(place in k.__module__ for place in exempt)] == []


@pytest.mark.parametrize(
    ("base", "table"),
    [
        (Density, SOURCES),
        (Layer, LAYERS),
        (Likelihood, LIKELIHOODS),
        (Metric, METRICS),
        (Mixer, MIXERS),
        (Packer, PACKERS),
        (PositionEncoding, POSITIONS),
        (Path, PATHS),
        (Solver, SOLVERS),
        (Stepper, STEPPERS),
        (Transform, TRANSFORMS),
    ],
)
def test_every_final_class_is_in_its_table(base, table):
    missing = final_classes(base) - {row.target for row in table.values()}
    # Stacks are made of members, and studies measure members with one thing changed.
    exempt = (".backbones.", "danlu_bench.")
    if base is Layer:  # blocks of families, and noise that rounding takes away, are no bijections
        exempt += (".vae.", ".quantized.", ".dequantise", ".laws.")
    missing = {k for k in missing if not any(place in k.__module__ for place in exempt)}
    # What others derive from is no member, even where it could be built.
    parents = {parent for row in table.values() for parent in bases_of(row.target)}
    assert missing - parents == set()
    assert len(final_classes(base)) >= 2
