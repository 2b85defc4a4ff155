"""The laws of the library: every identity with its oracle, measured on the machine at hand.

The test suite and `danlu check` run the same rows. `danlu.check` takes nothing, the name of a room
or a method, or a class of one's own, which must obey the laws of every family.
"""

import re
from collections.abc import Callable
from typing import Any

from danlu.contracts import unknown
from danlu.experiments.checks import (
    amos,
    autoregressive,
    chain,
    codebook,
    constants_layers,
    constants_mixers,
    constants_positions,
    constants_recurrent,
    continuous,
    data,
    definitions_attention,
    definitions_fading,
    definitions_gated,
    definitions_layers,
    definitions_linear,
    definitions_pictures,
    definitions_positions,
    definitions_recurrent,
    definitions_rotations,
    definitions_rows,
    definitions_scans,
    definitions_steady,
    definitions_systems,
    diffusion,
    diffusion_bound,
    diffusion_editing,
    diffusion_joint,
    diffusion_parts,
    evaluation,
    evidence,
    family,
    few_step,
    flow,
    gan,
    guidance,
    kernel_density,
    language,
    large_exponents,
    learned_variance,
    linear_attention,
    linear_attention_estimates,
    memories,
    mixers,
    multilabel,
    multilabel_metrics,
    multilabel_others,
    optim,
    packers,
    packing,
    padded_continuations,
    padding_nan,
    positions,
    positions_general,
    positions_identities,
    precision,
    principal_components,
    recompute,
    recurrences,
    reflow,
    revolve,
    samplers,
    scan_sweep,
    sequence_refusals,
    sparse_attention,
    state_space,
    training,
    vae,
    vq,
    words,
    written_apart,
)
from danlu.experiments.checks.law import Law
from danlu.experiments.checks.measuring import Checked, measured, measured_together
from danlu.experiments.checks.own import chosen_family, chosen_mixer, chosen_solver

__all__ = ["LAWS", "Checked", "check", "laws", "laws_of", "measured", "measured_together"]

LAWS: list[Law] = [
    *data.LAWS,
    *evidence.LAWS,
    *chain.LAWS,
    *codebook.LAWS,
    *vae.LAWS,
    *vq.LAWS,
    *principal_components.LAWS,
    *gan.LAWS,
    *family.LAWS,
    *few_step.LAWS,
    *reflow.LAWS,
    *learned_variance.LAWS,
    *flow.LAWS,
    *continuous.LAWS,
    *kernel_density.LAWS,
    *optim.LAWS,
    *amos.LAWS,
    *recompute.LAWS,
    *revolve.LAWS,
    *samplers.LAWS,
    *scan_sweep.LAWS,
    *sequence_refusals.LAWS,
    *diffusion.LAWS,
    *diffusion_parts.LAWS,
    *diffusion_bound.LAWS,
    *diffusion_joint.LAWS,
    *diffusion_editing.LAWS,
    *guidance.LAWS,
    *training.LAWS,
    *packing.LAWS,
    *padded_continuations.LAWS,
    *padding_nan.LAWS,
    *packers.LAWS,
    *evaluation.LAWS,
    *multilabel.LAWS,
    *multilabel_others.LAWS,
    *multilabel_metrics.LAWS,
    *mixers.LAWS,
    *constants_layers.LAWS,
    *constants_mixers.LAWS,
    *constants_positions.LAWS,
    *constants_recurrent.LAWS,
    *definitions_attention.LAWS,
    *definitions_fading.LAWS,
    *definitions_gated.LAWS,
    *definitions_layers.LAWS,
    *definitions_linear.LAWS,
    *definitions_pictures.LAWS,
    *definitions_positions.LAWS,
    *definitions_recurrent.LAWS,
    *definitions_rotations.LAWS,
    *definitions_rows.LAWS,
    *definitions_scans.LAWS,
    *definitions_steady.LAWS,
    *definitions_systems.LAWS,
    *sparse_attention.LAWS,
    *linear_attention_estimates.LAWS,
    *positions.LAWS,
    *state_space.LAWS,
    *memories.LAWS,
    *recurrences.LAWS,
    *linear_attention.LAWS,
    *positions_identities.LAWS,
    *precision.LAWS,
    *positions_general.LAWS,
    *autoregressive.LAWS,
    *language.LAWS,
    *large_exponents.LAWS,
    *words.LAWS,
    *written_apart.LAWS,
]


def laws() -> list[Law]:
    """Every law of the library."""
    return LAWS


def laws_of(name: str | None = None) -> list[Law]:
    """The laws of a room, or those whose names have a method's name in them; all without a name.

    Raises:
        DanluError: no law has the name.
    """
    if name is None:
        return LAWS
    word = re.compile(rf"(^|[/ -]){re.escape(name)}($|[/ -])")
    found = [law for law in LAWS if word.search(law.name)]
    if not found:
        known = {part for law in LAWS for part in law.name.split("/")}
        raise unknown("law, room or method", name, known)
    return found


def chosen(target: str | Callable[..., Any] | None = None) -> list[Law]:
    """The laws of a target; see `check`."""
    if target is None or isinstance(target, str):
        return laws_of(target)
    return chosen_family(target)


def check(target: str | Callable[..., Any] | None = None) -> list[Checked]:
    """Measure laws: all, those of a room or method by name, or the family laws on a class.

    Args:
        target: None, a name such as `vae`, or a class or builder that is called with a data
            description and gives a `GenerativeModel`.

    Raises:
        DanluError: no law has the name.
    """
    return list(measured(chosen(target)))


def check_mixer(target: Callable[..., Any]) -> list[Checked]:
    """Measure the laws of token mixers on one's own; a row's `example` is the smallest failure.

    Args:
        target: a `Mixer` class or builder, called without arguments or, where it needs one, with
            a width.

    Raises:
        DanluError: the target makes no `Mixer`.
    """
    return list(measured(chosen_mixer(target)))


def check_solver(target: Any) -> list[Checked]:
    """Measure, on exact denoisers, the laws that a solver of one's own must obey.

    Args:
        target: a `Solver`, or a class or builder that makes one without arguments.

    Raises:
        DanluError: the target makes no `Solver`.
    """
    return list(measured(chosen_solver(target)))


check.solver = check_solver  # pyright: ignore[reportFunctionMemberAccess]
check.mixer = check_mixer  # pyright: ignore[reportFunctionMemberAccess]
