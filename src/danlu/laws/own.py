"""The laws that a class of one's own must obey."""

from collections.abc import Callable
from typing import Any

from danlu.laws.generative import edge_inputs, family
from danlu.laws.generative.diffusion.solver_laws import solver_laws
from danlu.laws.law import Law
from danlu.laws.mixers import mixers


def chosen_family(target: Callable[..., Any]) -> list[Law]:
    """The laws for a family of one's own; see `check`."""
    name = getattr(target, "__name__", "family")
    return [*family.family_laws(name, target), *edge_inputs.edge_laws(name, target)]


def chosen_mixer(target: Callable[..., Any]) -> list[Law]:
    """The laws for a mixer of one's own; see `check_mixer`."""
    name = getattr(target, "__name__", "mixer")
    return mixers.mixer_laws(f"mixers/{name}", mixers.builder(target))


def chosen_solver(target: Any) -> list[Law]:
    """The laws for a solver of one's own; see `check_solver`."""
    name = getattr(target, "__name__", type(target).__name__)
    return solver_laws(f"diffusion/{name}", target)
