"""Types that every room shares; no method lives here."""

from danlu.contracts.batch import Batch, Rows, Stream
from danlu.contracts.condition import Condition, Features, Memory, Told, class_ids
from danlu.contracts.condition_kinds import (
    Asked,
    Classes,
    Image,
    Kind,
    One,
    Tokens,
    Vector,
    anything,
    kinds_of,
    name_of,
    read_condition,
)
from danlu.contracts.description import DataDescription, DataKind
from danlu.contracts.errors import (
    CapabilityError,
    DanluError,
    NonFiniteError,
    StorageError,
    built,
    told_of,
    unknown,
)
from danlu.contracts.evidence import Bound, Evidence, Measure
from danlu.contracts.export import Export, Port
from danlu.contracts.losses import Losses
from danlu.contracts.method import Method
from danlu.contracts.progress import Progress, derive_seed
from danlu.contracts.sequence import (
    SequenceContext,
    State,
    detached,
    next_position,
    reorder,
    state_bytes,
)
from danlu.contracts.stage import Player, Stage
from danlu.contracts.statistics import KeepsStatistics

__all__ = [
    "Asked",
    "Batch",
    "Bound",
    "CapabilityError",
    "Classes",
    "Condition",
    "DanluError",
    "DataDescription",
    "DataKind",
    "Evidence",
    "Export",
    "Features",
    "Image",
    "KeepsStatistics",
    "Kind",
    "Losses",
    "Measure",
    "Memory",
    "Method",
    "NonFiniteError",
    "One",
    "Player",
    "Port",
    "Progress",
    "Rows",
    "SequenceContext",
    "Stage",
    "State",
    "StorageError",
    "Stream",
    "Tokens",
    "Told",
    "Vector",
    "anything",
    "built",
    "class_ids",
    "derive_seed",
    "detached",
    "kinds_of",
    "name_of",
    "next_position",
    "read_condition",
    "reorder",
    "state_bytes",
    "told_of",
    "unknown",
]
