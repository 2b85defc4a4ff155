"""What is built from settings is tried before a run is made of it."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from danlu.contracts import Batch, DanluError, Progress, anything, unknown
from danlu.generative.base import GenerativeModel
from danlu.optim import OPTIMIZERS, SCHEDULES, NamedParameter, OptimizerOptions


def require_working(options: OptimizerOptions, named: Sequence[NamedParameter]) -> None:
    """Refuse what no optimiser can be made of, before a run is."""
    if options.name not in OPTIMIZERS:
        raise unknown("optimizer", options.name, OPTIMIZERS)
    if options.schedule not in SCHEDULES:
        raise unknown("schedule", options.schedule, SCHEDULES)
    with explained("optimizer"):
        OPTIMIZERS[options.name].build(named or None, options)


def try_out(model: GenerativeModel) -> None:
    """One loss of each player at first, since some settings build a network that cannot run."""
    description, n = model.description, 2
    condition = None if description.condition is None else anything(description.condition, n)
    x = torch.full((n, *description.shape), float(description.low))
    batch = Batch(x, condition, torch.arange(n))
    with torch.random.fork_rng(), explained("model"):
        for play in model.stages()[0].plays:  # later stages may learn from what this one made
            model.loss(batch, play.name, Progress(step=0, fraction=0.5, seed=0))


@contextmanager
def explained(room: str) -> Iterator[None]:
    """Errors of what is built from settings become one line about them."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Initializing zero-element")  # an error follows
            yield
    except DanluError:
        raise
    except (ValueError, RuntimeError, TypeError, ZeroDivisionError, AssertionError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise DanluError(f"These {room} settings do not work: {first}.") from error
