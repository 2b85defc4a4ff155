"""Options of sampling and likelihood that every diffusion model has."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from danlu.contracts import DanluError, unknown
from danlu.generative.diffusion import GRIDS, SOLVERS
from danlu.generative.diffusion.solvers.ancestral import VARIANCES
from danlu.generative.diffusion.solvers.solver import Solver

GUIDED_BY = ("classifier-free", "projected")
"""Those of GUIDANCES that need nothing but a conditional model."""
LIKELIHOODS = ("flow", "bound", "pointwise")
TRACES = ("exact", "hutchinson")


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffusionOptions:
    """Options of sampling and likelihood.

    Attributes:
        variances: those that the chain of the model may have.
        solver: a name of SOLVERS.
        grid: a name of GRIDS.
        evaluations: denoiser evaluations for one sample; guidance doubles the network's.
        guidance: scale; 1 is the plain conditional model.
        guided_by: a name of GUIDANCES that needs no other model.
        guided_from: guidance acts between the times `guided_from` and `guided_until`;
        guided_until: 0 is data and 1 is noise.
        rescale: share by which guided examples get back the contrast of unguided ones.
        parallel: of `projected` guidance, the share along the example that is kept.
        eta: noise of DDIM, from 0 (deterministic) to 1 (ancestral); ignored by the others.
        churn: relative raise of the level before each step of the stochastic Heun solver.
        variance: `small` or `large`, of the ancestral chain, sampled or scored.
        likelihood: `flow` by the change of variables, the variational `bound` of the chain, or
            `pointwise` by how well each example is denoised.
        trace: `exact` or `hutchinson` divergence of the flow's likelihood.
        probes: Hutchinson probes for each example, at least 2.
        draws: of the noise behind a likelihood of discrete data or by levels, at least 2.
        likelihood_steps: fourth-order steps of the flow's ODE.
        chain: steps of the chain whose bound is asked for.
        terms: levels of a draw, of the bound or pointwise; for the bound, `chain` or more
            sums them all.
    """

    variances: ClassVar[Sequence[str]] = VARIANCES

    solver: str = "heun"
    grid: str = "uniform"
    evaluations: int = 15
    guidance: float = 1.0
    guided_by: str = "classifier-free"
    guided_from: float = 0.0
    guided_until: float = 1.0
    rescale: float = 0.0
    parallel: float = 0.0
    eta: float = 0.0
    churn: float = 0.0
    variance: str = "small"
    likelihood: str = "flow"
    trace: str = "hutchinson"
    probes: int = 2
    draws: int = 2
    likelihood_steps: int = 16
    chain: int = 1000
    terms: int = 16

    def __post_init__(self) -> None:
        named: list[tuple[str, str, Sequence[str]]] = [
            ("solver", self.solver, tuple(SOLVERS)),
            ("grid", self.grid, tuple(GRIDS)),
            ("guidance", self.guided_by, GUIDED_BY),
            ("variance", self.variance, self.variances),
            ("likelihood", self.likelihood, LIKELIHOODS),
            ("trace", self.trace, TRACES),
        ]
        for kind, name, known in named:
            if name not in known:
                raise unknown(kind, name, known)
        if min(self.evaluations, self.likelihood_steps, self.terms) < 1 or self.chain < 2:
            raise DanluError(
                "evaluations, likelihood_steps and terms must be at least 1, chain at least 2."
            )
        if self.draws < 2:
            raise DanluError(f"draws must be at least 2 to have an error, got {self.draws}.")
        if not 0.0 <= self.guided_from <= self.guided_until <= 1.0:
            raise DanluError(
                f"Guidance acts from a time to a later one in [0, 1], got {self.guided_from} "
                f"to {self.guided_until}."
            )
        if not 0.0 <= self.rescale <= 1.0:
            raise DanluError(f"rescale is a share from 0 to 1, got {self.rescale}.")

    def made_solver(self) -> Solver:
        """The solver, told those of the options that its constructor takes."""
        target = SOLVERS[self.solver].target
        taken = inspect.signature(target).parameters
        return target(**{name: getattr(self, name) for name in taken if hasattr(self, name)})
