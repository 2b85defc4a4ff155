"""A race as it is asked for: one seed, or several that become one result."""

from pathlib import Path

from danlu.contracts import DanluError, StorageError
from danlu.evaluation.report import write_report
from danlu.evaluation.results import Results
from danlu.races.repeats import combined
from danlu.races.request import RaceRequest
from danlu.races.resuming import RaceState
from danlu.races.running import Race, words_for_budget
from danlu.runs.folders import RACE, RESULTS, require_new
from danlu.runs.observer import Observer
from danlu.training.locking import held


def race(
    request: RaceRequest, observer: Observer | None = None, *, resume: bool = False
) -> Results:
    """Run a race; writes run folders, results.json and report.html.

    Args:
        request: what is asked for.
        observer: who watches.
        resume: whether the folder holds the race already and it is gone on with.

    Raises:
        DanluError: bad input, told before anything is trained.
        KeyboardInterrupt: with the command to go on; what was trained is saved.
    """
    observer = observer or Observer()
    if not resume:
        require_new(request.folder)
    elif not (request.folder / RACE).exists():
        raise DanluError(f"{request.folder} is no race: it has no {RACE}.")
    try:
        if len(request.seeds) == 1:
            return Race(request, observer).run()
        return _several(request, observer)
    except KeyboardInterrupt as error:
        again = f"interrupted; to go on: `danlu race --resume {request.folder}`."
        raise KeyboardInterrupt(again) from error
    except StorageError as error:
        again = f"to go on then: `danlu race --resume {request.folder}`."
        raise StorageError(f"{error} {again}") from error


def _several(request: RaceRequest, observer: Observer) -> Results:
    """A race for each seed in turn; those that are finished are kept."""
    number = len(request.seeds)
    whole = f"{request.minutes * number:g} minutes in all" if request.minutes else "no limit"
    observer.say(f"{number} seeds, {words_for_budget(request)} for each of them; {whole}")
    waiting = [seed for seed in request.seeds if not _path(request, seed).exists()]
    first = Race(request.of_seed(waiting[0]), observer) if waiting else None
    with held(request.folder):
        if not (request.folder / RACE).exists():
            RaceState.begun(request)  # before any seed's, so that a kill leaves what can go on
        for seed in waiting:
            observer.say(f"seed {seed}")
            runner, first = first or Race(request.of_seed(seed), observer), None
            runner.run()
    results = combined(
        [Results.load(_path(request, seed)) for seed in request.seeds],
        [request.of_seed(seed).folder.name for seed in request.seeds],
        request.command,
    )
    write_report(results, request.folder, neighbours=request.neighbours)
    results.save(request.folder / RESULTS)
    return results


def _path(request: RaceRequest, seed: int) -> Path:
    return request.of_seed(seed).folder / RESULTS
