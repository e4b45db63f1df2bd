"""Work shared out to copies of this process, which hold all that it holds."""

import os
import pickle
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import torch

from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.interrupts import hold_interrupts, leave_signals_to_the_parent
from vizcnn.basics.memory import find_free_memory
from vizcnn.basics.processes import PATIENCE, answer, can_fork, end_with, link_errors

Item = TypeVar("Item")
Result = TypeVar("Result")


def limit_workers(wanted: int, needed: int) -> int:
    """Give how many workers there may be: 0 where this process does better alone.

    Args:
        wanted: How many are wanted.
        needed: Bytes of memory that each takes.

    Example:
        >>> limit_workers(1, 0)
        0
    """
    free = find_free_memory()
    fitting = wanted if free is None or not needed else min(wanted, free // needed)
    return fitting if fitting > 1 and can_fork() else 0


def work_through(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int, what: str
) -> Generator[Result, None, None]:
    """Do some work for each item, in workers.

    They are copies of this process, so neither the work nor the items have to be pickled, and what
    they write into memory that is mapped from a file is seen here. Each computes with one thread.
    An item is handed out when a worker is free for it: nothing queues up. They end with this
    process, however it ends, and when the generator is closed, whatever they do.

    Args:
        work: What to do; its result goes through a pipe.
        items: What to do it for.
        workers: How many workers, at least one.
        what: What they do, for an error: ``"projects"``.

    Yields:
        The results as they come.

    Raises:
        VizcnnError: If a worker cannot be started, or is ended from outside.

    Example:
        >>> sorted(work_through(lambda number: number**2, [1, 2, 3], workers=2, what="squares"))
        [1, 4, 9]
    """
    crew: dict[Connection, Any] = {}
    try:
        with hold_interrupts():  # held until they know that a Ctrl-C is not theirs
            _start(work, items, min(workers, len(items)), what, crew)
        rest = iter(range(len(items)))
        with _explain_death(what):
            busy = [end for end in crew if _give_next(end, rest)]
        told: set[tuple[type[Warning], str]] = set()
        while busy:
            for end in wait(busy):
                assert isinstance(end, Connection)  # nothing else is waited for
                with _explain_death(what):
                    answer = end.recv()
                    if not _give_next(end, rest):
                        busy.remove(end)
                for word in answer.warnings:
                    if word not in told:
                        warnings.warn(word[1], word[0], stacklevel=2)
                    told.add(word)
                if (error := link_errors(answer.errors)) is not None:
                    raise error
                yield answer.result
    finally:
        _end(crew)


@contextmanager
def _explain_death(what: str) -> Iterator[None]:
    """Tell what it means that a worker's pipe has ended."""
    try:
        yield
    except (EOFError, ConnectionError, pickle.UnpicklingError) as end_of_pipe:
        time.sleep(PATIENCE)
        raise VizcnnError(
            f"a process that {what} was ended from outside, perhaps for want of memory: run again "
            "with fewer --workers, or with --workers 0, which does all in one process"
        ) from end_of_pipe


def _give_next(end: Connection, rest: Any) -> bool:
    number = next(rest, None)
    end.send(number)  # None: there is no more
    return number is not None


def _start(
    work: Callable[[Any], Any],
    items: Sequence[Any],
    workers: int,
    what: str,
    crew: dict[Connection, Any],
) -> None:
    context = get_context("fork")
    try:
        for _ in range(workers):
            here, there = context.Pipe()
            with closing(there):  # this process's: a worker that dies then ends its pipe
                process = context.Process(
                    target=_serve,
                    args=(work, items, there, [*crew, here], os.getpid()),
                    daemon=True,
                )
                process.start()
            crew[here] = process
    except OSError as error:
        raise VizcnnError(
            f"{workers} processes that {what.removesuffix('s')} cannot be started "
            f"({error.strerror or type(error).__name__}): run again with fewer --workers, or with "
            "--workers 0, which does all in one process"
        ) from None


def _end(crew: dict[Connection, Any]) -> None:
    for process in crew.values():
        process.kill()
    for end, process in crew.items():
        process.join()
        process.close()
        end.close()


def _serve(
    work: Callable[[Any], Any],
    items: Sequence[Any],
    end: Connection,
    others: Sequence[Connection],
    parent: int,
) -> None:
    """Do what the parent asks for, until it has enough or is gone."""
    leave_signals_to_the_parent()
    end_with(parent)
    for other in others:  # a copy has them too, and would keep them open
        other.close()
    torch.set_num_threads(1)
    with suppress(EOFError, OSError):
        while (number := end.recv()) is not None:
            end.send(answer(work, items[number]))
