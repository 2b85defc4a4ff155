"""What a race or an evaluation found: plain data, written as JSON, read by the report."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from danlu.contracts import DataDescription
from danlu.files import write_text
from danlu.training.records import read_json, record_json, typed


class RowKind(StrEnum):
    """What a row stands for; only models compete in the verdict."""

    MODEL = "model"
    NON_PARAMETRIC = "non-parametric"  # keeps its data in place of training, never competes
    FLOOR = "floor"  # held-out real data against other held-out real data
    TRAIN_COPY = "train-copy"  # what a memoriser would get
    SANITY = "sanity"  # values without any relation: a model that is no better learned nothing
    CORRUPTION = "corruption"  # blurred or noisy real data: the scale of a distance


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure with its standard error; None where none is known.

    Attributes:
        value: a figure, or its mean over seeds.
        stderr: what decisions are made with; of several seeds the larger of the two below.
        over_seeds: standard error of the mean over seeds; None for a single run.
        sampling: of several seeds the typical standard error within one run.
    """

    value: float
    stderr: float | None = None
    over_seeds: float | None = None
    sampling: float | None = None


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """A model's mean log-likelihood of held-out data with all that qualifies it."""

    nats: Measured
    bits_per_dim: Measured | None  # None for densities
    bound: str
    measure: str
    condition: str
    evaluations: int
    examples: int
    note: str = ""  # for example the prior mismatch, reported apart


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a run with the training seconds at which it was made."""

    seconds: float
    path: str  # relative to the results file
    alt: str  # what a person who cannot see it should know
    note: str = ""


@dataclass(frozen=True, slots=True)
class StageRow:
    """A stage of training: its planned share of the budget and what it took."""

    name: str
    share: float
    steps: int
    seconds: float


@dataclass(slots=True)
class Row:
    """One line of the tables: a trained model or a yardstick."""

    name: str
    kind: RowKind
    metrics: dict[str, Measured] = field(default_factory=dict)  # keys of METRICS
    needs: dict[str, int] = field(default_factory=dict)  # what too few examples left out
    evidence: EvidenceRow | None = None
    parameters: int | None = None
    examples: int | None = None  # training examples consumed
    steps: int | None = None
    train_seconds: float | None = None
    sample_seconds: float | None = None  # for `samples` samples
    sample_evaluations: int | None = None  # network evaluations for one sample
    samples: int | None = None
    seeds: int = 1
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # (seconds, value)
    by_evaluations: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    stages: list[StageRow] = field(default_factory=list)
    grids: list[Picture] = field(default_factory=list)
    neighbours: Picture | None = None
    settings: str = ""  # sampler settings in words
    failure: str = ""  # why the row has no figures
    run: str = ""  # the run's folder, as a person would type it; "" when there is none


@dataclass(slots=True)
class Results:
    """A whole race or evaluation."""

    title: str
    data: str
    description: dict[str, Any]  # of the data
    rows: list[Row]
    seed: int
    seeds: int
    split: dict[str, tuple[float, float]]  # part -> (planned seconds, used seconds)
    features: dict[
        str, dict[str, str | float | None]
    ]  # feature space -> name, hash, accuracy, seconds
    machine: dict[str, str | float | None]
    held_out: int  # held-out examples behind the distances
    reference: str  # which split the distances refer to
    command: str
    version: str
    notices: list[str] = field(default_factory=list)
    budget: float = 0.0  # seconds that were given, for one seed; 0 when none were
    examples: int = 0  # examples that each model was given in place of seconds; 0 when none were

    def __post_init__(self) -> None:
        if isinstance(shape := self.description.get("shape"), list):
            self.description["shape"] = tuple(shape)

    def save(self, path: Path) -> None:
        """Write JSON; a figure that is not finite becomes null."""
        write_text(path, record_json(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "Results":
        """Read what `save` wrote; where it was changed since, a notice says so.

        Raises:
            DanluError: the file is not JSON, or holds something else.
        """
        results, damage = read_json(path, cls)
        if results.description:
            typed(results.description, DataDescription, f"{path}: description")
        results.notices += [damage] if damage else []
        return results
