"""The settings of one player's optimiser."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from danlu.contracts import DanluError


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerOptions:
    """Which optimiser, at which rate, on which schedule.

    Attributes:
        name: a name in `OPTIMIZERS`.
        rate: the highest learning rate.
        betas: memories of the first and second moment; `sgd` takes the first as its momentum,
            `rmsprop` the second as its smoothing constant.
        weight_decay: decoupled for `adamw` and `amos`, an L2 penalty elsewhere; rules may scale it.
        warmup: fraction of the stage's budget over which the rate climbs.
        schedule: a name in `SCHEDULES`, for the rate.
        schedules: names in `SCHEDULES` for other fields of the optimiser's groups, such as
            `{"weight_decay": "linear"}`; these have no warm-up.
        scales: for `amos`: scales by pattern, `REGEX=NUMBER` or `REGEX=GAIN/in`.
        value_clip: for `amos`: entries of the gradients are cut to this size; None for no cut.
        falling: for `amos`: how fast steps shrink and how fast its own weight decay falls.
    """

    name: str = "adamw"
    rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    warmup: float = 0.02
    schedule: str = "sqrt"
    schedules: Mapping[str, str] = field(default_factory=dict)
    scales: tuple[str, ...] = ()
    value_clip: float | None = None
    falling: tuple[float, float] = (0.25, 0.25)

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise DanluError(f"rate must be positive, got {self.rate}.")
        if not 0 <= self.warmup < 1:
            raise DanluError(f"warmup is a fraction of the budget in [0, 1), got {self.warmup}.")
