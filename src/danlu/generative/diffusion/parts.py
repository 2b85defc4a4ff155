"""The parts that a diffusion model is trained by, each a name of its own table."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from jaxtyping import Float
from torch import Tensor

from danlu.contracts import DanluError, Kind, Method, Told, unknown
from danlu.contracts.noise import BatchNoise
from danlu.generative.diffusion import (
    COUPLINGS,
    PATHS,
    PRECONDITIONERS,
    PREDICTIONS,
    TIME_SAMPLERS,
    WEIGHTINGS,
)
from danlu.generative.diffusion.paths import Path
from danlu.generative.diffusion.solvers.solver import Solver

TABLES: Mapping[str, Mapping[str, Method]] = {
    "path": PATHS,
    "prediction": PREDICTIONS,
    "preconditioner": PRECONDITIONERS,
    "weighting": WEIGHTINGS,
    "times": TIME_SAMPLERS,
    "coupling": COUPLINGS,
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
        coupling: of COUPLINGS; all but the first keep the flow alone, and no score.

    Raises:
        DanluError: a table has no such name, or a score is asked of a coupling without one.
    """

    path: str = "linear"
    prediction: str = "velocity"
    preconditioner: str = "plain"
    weighting: str = "unit"
    times: str = "logit-normal"
    coupling: str = "independent"

    def __post_init__(self) -> None:
        for field, table in TABLES.items():
            name = getattr(self, field)
            if name not in table:
                raise unknown("time sampler" if field == "times" else field, name, table)
        if self.prediction == "score":
            self.need_score("the prediction 'score'")

    def coupled(
        self,
        x: Float[Tensor, "batch ..."],
        condition: Told,
        t: Float[Tensor, " batch"],
        path: Path,
        draws: BatchNoise,
    ) -> tuple[Float[Tensor, "batch ..."], Float[Tensor, "batch ..."]]:
        """Data and noise by the coupling, whose mix at the times t is trained on."""
        coupling = COUPLINGS[self.coupling].build()
        z = coupling.pair(x, draws.normal(*x.shape[1:]), condition, draws)
        return coupling.bend(x, z, t, path, draws)

    def couples(self) -> str:
        """What the coupling does with a whole batch at once; empty where noise stays as drawn."""
        if COUPLINGS[self.coupling].target.independent:
            return ""
        return f"the coupling {self.coupling!r} pairs noise with the examples of a batch"

    def allow(self, name: str, solver: Solver) -> None:
        """Refuse a solver that needs a score where there is none.

        Raises:
            DanluError: it does.
        """
        if solver.needs_score:
            self.need_score(f"the fresh noise of solver {name!r}")

    def need_score(self, what: str) -> None:
        """Refuse what needs a score where data and noise are not independent.

        Raises:
            DanluError: they are not.
        """
        if not COUPLINGS[self.coupling].target.independent:
            raise DanluError(
                f"With the coupling {self.coupling!r} a model has a flow but no score, which "
                f"{what} needs: take one without, or train with the coupling 'independent'."
            )

    def cautions(self, kind: Kind | None) -> tuple[str, ...]:
        """What a person should hear before a model that is told this is trained by these."""
        if kind is None or COUPLINGS[self.coupling].target.by_class:
            return ()
        return (
            f"The coupling {self.coupling!r} pairs noise over all classes: a class is sampled from "
            "noise that it never saw, and its samples are off; 'class-optimal' keeps the classes.",
        )

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
