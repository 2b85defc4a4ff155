"""The parts that a diffusion model is trained by, each a name of its own table."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from danlu.contracts import DanluError, Method, unknown
from danlu.generative.diffusion import (
    PATHS,
    PRECONDITIONERS,
    PREDICTIONS,
    TIME_SAMPLERS,
    WEIGHTINGS,
)

TABLES: Mapping[str, Mapping[str, Method]] = {
    "path": PATHS,
    "prediction": PREDICTIONS,
    "preconditioner": PRECONDITIONERS,
    "weighting": WEIGHTINGS,
    "times": TIME_SAMPLERS,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What a network is trained on, by the names of the tables.

    Attributes:
        path: of PATHS.
        prediction: of PREDICTIONS.
        preconditioner: of PRECONDITIONERS.
        weighting: of WEIGHTINGS.
        times: of TIME_SAMPLERS.

    Raises:
        DanluError: a table has no such name.
    """

    path: str = "linear"
    prediction: str = "velocity"
    preconditioner: str = "plain"
    weighting: str = "unit"
    times: str = "logit-normal"

    def __post_init__(self) -> None:
        for field, table in TABLES.items():
            name = getattr(self, field)
            if name not in table:
                raise unknown("time sampler" if field == "times" else field, name, table)

    def changed(self, text: str) -> "Parts":
        """These parts with some changed, `prediction=v,weighting=min-snr`.

        Raises:
            DanluError: the text does not read so, or a name is not known.
        """
        known = [field.name for field in fields(self)]
        changes = {}
        for item in filter(None, text.split(",")):
            field, equals, name = (part.strip() for part in item.partition("="))
            if not equals:
                raise DanluError(f"Parts read part=name,part=name, got {text!r}.")
            if field not in known:
                raise unknown("part", field, known)
            changes[field] = name
        return replace(self, **changes)


STRAIGHT = Parts()
"""Those of a rectified flow."""
