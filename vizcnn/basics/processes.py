"""Processes beside this one: what they all have in common, whatever they do."""

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.sharing import hear_warnings

MOST_WORKERS = 16
"""Processes beside this one that read or draw, at most, if nobody asks for more."""

PATIENCE = 0.3
"""Seconds in which a signal that ended a process, with the whole group, comes here too."""

_PR_SET_PDEATHSIG = 1


def count_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # of a container or a taskset, its share
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def can_fork() -> bool:
    """Tell whether this process can leave work to forks of itself."""
    # macOS has fork, but its own libraries do not bear it; a worker may have none of its own
    return sys.platform == "linux" and not multiprocessing.current_process().daemon


def end_with(parent: int) -> None:
    """Let the system end this process with its parent: what it writes is then another run's."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was faster
        os._exit(1)


def make_sendable(error: Exception) -> Exception:
    """Give an error that another process can raise, with the place where it came from."""
    if not isinstance(error, VizcnnError):
        error.add_note(traceback.format_exc())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # anybody's class, which may do anything
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def list_errors(error: Exception) -> list[Exception]:
    """List an error and what it came of, in a form that another process can raise."""
    found: list[Exception] = []
    cause: BaseException | None = error
    while isinstance(cause, Exception):
        found.append(make_sendable(cause))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return found


def link_errors(errors: Sequence[Exception]) -> Exception | None:
    """Put together what :func:`list_errors` took apart; None if there was no error."""
    for error, cause in pairwise(errors):
        error.__cause__ = cause
    return errors[0] if errors else None


@dataclass(frozen=True)
class Answer:
    """What became of an item of work in another process.

    Attributes:
        result: What the work gave; None if it raised.
        errors: What it raised, and what that came of (:func:`list_errors`).
        warnings: Categories and texts of the warnings that were given meanwhile.
    """

    result: Any
    errors: list[Exception]
    warnings: list[tuple[type[Warning], str]]


def answer(work: Callable[[Any], Any], item: Any) -> Answer:
    """Do some work for an item, for another process to know what became of it."""
    result, failures = None, list[Exception]()
    with hear_warnings() as heard:
        try:
            result = work(item)
        except Exception as error:
            failures = list_errors(error)
    return Answer(result, failures, list(heard))
