"""Errands: work that forked processes do beside this one, such as drawing while it computes.

A fork begins with all that its parent has in memory, so that an errand may be any function, over
any objects, and nothing is imported twice. Outside Linux, where forks are not safe, on one core,
within an errand, and where the system gives no process, the work is done at once, in this one.
"""

import multiprocessing
import os
import pickle
import sys
import warnings
from collections.abc import Callable
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from types import TracebackType
from typing import Any, Generic, TypeVar

from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.interrupts import hold_interrupts, leave_signals_to_the_parent
from vizcnn.basics.processes import (
    MOST_WORKERS,
    can_fork,
    count_cores,
    end_with,
    link_errors,
    list_errors,
)

T = TypeVar("T")


class Errand(Generic[T]):
    """Work that was given to :class:`Errands`, and what came of it."""

    def __init__(self) -> None:
        self._process: ForkProcess | None = None
        self._end: Connection | None = None
        self._value: list[T] = []
        self._error: Exception | None = None
        self._asked = False

    def result(self) -> T:
        """Give what the work came to, when it is done.

        Raises:
            Exception: What the work raised.
            VizcnnError: If its process was ended from outside.
        """
        self._receive()
        self._asked = True
        if self._error is not None:
            raise self._error
        return self._value[0]

    def _receive(self) -> None:
        if self._end is None or self._process is None:
            return
        try:
            done, errors, told = pickle.loads(self._end.recv_bytes())
            self._value = [pickle.loads(done)]
            self._error = link_errors(errors)
        except (EOFError, OSError, pickle.UnpicklingError):
            told = ()
            self._error = VizcnnError(
                "a process that worked beside this one was ended from outside, perhaps for want "
                "of memory: close other programs, or run on one core, where none is started"
            )
        self._finish()
        for word, category in told:
            warnings.warn(word, category, stacklevel=3)

    def _finish(self) -> None:
        if self._process is not None:
            self._process.join()
            self._process.close()
        if self._end is not None:
            self._end.close()
        self._process = self._end = None

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()  # it holds nothing that could be left half-done
        self._finish()


class Errands:
    """Gives work to forks, one a core at a time, 16 at most; a context that waits for all of it.

    If the block ends by an error, or by a Ctrl-C, what is still at work is ended.

    Args:
        device: Where the work computes: what is on a GPU cannot be reached from a fork, and work
            on it is done in this process.

    Raises:
        Exception: On leaving, the first error of work whose result was not asked for.

    Example:
        >>> with Errands() as errands:
        ...     sums = [errands.start(lambda n=n: sum(range(n))) for n in (3, 4)]
        >>> [errand.result() for errand in sums]
        [3, 6]
    """

    def __init__(self, device: str = "cpu") -> None:
        cores = min(count_cores(), MOST_WORKERS)
        self._most = cores if cores > 1 and device == "cpu" and can_fork() else 0
        self._errands: list[Errand[Any]] = []

    def start(self, work: Callable[[], T]) -> Errand[T]:
        """Begin a piece of work, after one before it has ended if there are too many.

        Args:
            work: What is done. It takes nothing and changes nothing here: what it gives back, an
                error, and warnings are all that comes of it, beside the files that it writes.

        Raises:
            Exception: What the work raised, where it is done in this process.
        """
        errand: Errand[T] = Errand()
        if not self._fork_if_possible(errand, work):
            errand._value = [work()]
        return errand

    def _fork_if_possible(self, errand: Errand[T], work: Callable[[], T]) -> bool:
        """Give work to a fork, and tell whether there is one: a process or memory may be denied."""
        if not self._most:
            return False
        at_work = [given for given in self._errands if given._process is not None]
        if len(at_work) >= self._most:
            ends = {given._end: given for given in at_work if given._end is not None}
            for end in multiprocessing.connection.wait(list(ends)):
                ends[end]._receive()  # type: ignore[index]
        self._errands.append(errand)  # first, so that a Ctrl-C in between leaves none behind
        try:
            self._fork(errand, work)
        except OSError:
            self._errands.remove(errand)
            errand._finish()
            return False
        return True

    def _fork(self, errand: Errand[T], work: Callable[[], T]) -> None:
        receiving, sending = multiprocessing.Pipe(duplex=False)
        errand._end = receiving
        with closing(sending), hold_interrupts():  # until it knows that a Ctrl-C is not its own
            context = multiprocessing.get_context("fork")
            process = context.Process(target=_work, args=(work, sending, os.getpid()), daemon=True)
            with warnings.catch_warnings():
                # of threads: those of OpenMP wait for work that no fork gives them
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            errand._process = process

    def __enter__(self) -> "Errands":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                for errand in self._errands:
                    if not errand._asked:
                        errand.result()
        finally:
            for errand in self._errands:
                errand._stop()


def _work(work: Callable[[], Any], sending: Connection, parent: int) -> None:
    """Do a piece of work, in a process of its own."""
    leave_signals_to_the_parent()
    end_with(parent)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)  # its other threads are not here, and the cores are taken
    with warnings.catch_warnings(record=True) as caught:
        try:
            # not by the pipe's own pickler, which torch has taught to share memory
            done, errors = pickle.dumps(work()), []
        except Exception as error:
            done, errors = pickle.dumps(None), list_errors(error)
    told = [(str(word.message), word.category) for word in caught]
    with suppress(OSError):  # the parent has enough
        sending.send_bytes(pickle.dumps((done, errors, told)))
