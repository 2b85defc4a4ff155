"""Errors that speak to the user: one clear line that says what to do."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from traceback import extract_tb
from typing import Any, TypeVar

Made = TypeVar("Made")

MOST_LISTED = 20
"""Names that an error lists; of more it gives the nearest."""


class DanluError(ValueError):
    """Bad input. The message is one line for the user; the command line exits with 2."""


class CapabilityError(DanluError):
    """A model was asked for something outside its declared capabilities."""


class NonFiniteError(ArithmeticError):
    """A loss or gradient became infinite or NaN; the message names the term. Exits with 1."""


class StorageError(OSError):
    """The disk takes no more; the message names the path and what is safe. Exits with 1."""


@contextmanager
def told_of(name: str) -> Iterator[None]:
    """What a class or module of the user's own raises becomes one line, with its place."""
    try:
        yield
    except DanluError:
        raise
    except Exception as error:
        last = extract_tb(error.__traceback__)[-1]
        line = next(iter(str(error).splitlines()), "")
        raise DanluError(
            f"{name} raises {type(error).__name__} ({last.filename}, line {last.lineno}): {line}"
        ) from error


def built(name: str, kind: type[Made], build: Callable[..., Any], *arguments: Any) -> Made:
    """What somebody's class or builder makes, which is of a kind.

    Raises:
        DanluError: it fails, or makes something else.
    """
    with told_of(name):
        found = build(*arguments)
    if not isinstance(found, kind):
        raise DanluError(f"{name} makes no {kind.__name__}, but a {type(found).__name__}.")
    return found


def unknown(kind: str, name: str, known: Iterable[str]) -> DanluError:
    """The error for a name that is not in a table, with the nearest known one."""
    known = sorted(known)
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}."
    if not near and len(known) > MOST_LISTED:
        nearest = get_close_matches(name, known, n=3, cutoff=0.0)
        hint = f"nearest of {len(known)}: {', '.join(nearest)}; `danlu list` shows all."
    return DanluError(f"Unknown {kind} {name!r}; {hint}")
