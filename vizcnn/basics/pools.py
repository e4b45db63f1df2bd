"""Pools: processes of this machine or of many, which somebody else starts, at work item by item."""

import hashlib
import multiprocessing
import os
import pickle
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager, nullcontext, suppress
from itertools import islice
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar
from uuid import uuid4

from vizcnn.basics.errors import VizcnnError, quote
from vizcnn.basics.processes import Answer, answer, count_cores, link_errors

Item = TypeVar("Item")
Result = TypeVar("Result")

Work = Callable[[Item], Result]

ASKED_EVERY = 0.2
"""Seconds after which futures are asked again that nothing can wait for, such as submitit's."""


WATCHED_EVERY = 1.0
"""Seconds after which a worker looks whether the process is there that started it."""


class Pool(Protocol):
    """Processes that do some work for items, on this machine or on others."""

    def work_through(
        self,
        begin: Callable[[], Work[Item, Result]],
        items: Sequence[Item],
        name: Callable[[Item], str],
    ) -> Generator[tuple[Item, Result], None, None]:
        """Do some work for each item.

        Args:
            begin: Gives the work; called once in each process (or thread) that takes part, such as
                to load a net, and held there until other work begins. It is pickled.
            items: What to do it for; each is pickled, and so are the results.
            name: Names an item in messages: ``"part 3/8"``.

        Yields:
            The items and their results, as they come.

        Raises:
            VizcnnError: What the work raised; or that a process ended, with the item's name.
        """
        ...


class _Executor(Protocol):
    """Whatever has a ``submit``."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any: ...


class ExecutorPool:
    """A pool of whatever has ``submit``, as ``concurrent.futures`` has.

    Process pools, Dask's ``client.get_executor()``, submitit's executors and mpi4py's are such. It
    stays open, and is the caller's: how often work is tried again whose process has died is its
    own matter. With submitit all items are one job array, unless they are bounded.

    Args:
        executor: The executor.
        at_once: How many items it has at a time, at most; the next ones are sent as answers come.
            When None all; but with submitit's stand-in for a cluster as many as there are cores, as
            it starts whatever it gets, each in a process of its own.

    Raises:
        VizcnnError: If it has no ``submit``, or would have no item.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> from functools import partial
        >>> with ThreadPoolExecutor(2) as threads:
        ...     pool = ExecutorPool(threads)
        ...     sorted(pool.work_through(partial(partial, pow, 2), [3, 4], str))
        [(3, 8), (4, 16)]
    """

    def __init__(self, executor: _Executor, at_once: int | None = None) -> None:
        if not callable(getattr(executor, "submit", None)):
            raise VizcnnError(
                f"got {type(executor).__name__} as an executor; needed: something with submit, "
                "such as concurrent.futures.ProcessPoolExecutor() or Dask's client.get_executor()"
            )
        if at_once is not None and at_once < 1:
            raise VizcnnError(
                f"got {quote(at_once)} items at once for an executor; needed: 1 or more"
            )
        self._executor, self._at_once = executor, at_once
        if at_once is None and starts_all_at_once(executor):
            self._at_once = count_cores()

    def work_through(
        self,
        begin: Callable[[], Work[Item, Result]],
        items: Sequence[Item],
        name: Callable[[Item], str],
    ) -> Generator[tuple[Item, Result], None, None]:
        """Do some work for each item; see :meth:`Pool.work_through`."""
        packed, call = pack(begin), uuid4().hex
        rest = iter(items)
        futures: dict[Any, Item] = {}
        ended: SimpleQueue[Any] = SimpleQueue()
        told: set[tuple[type[Warning], str]] = set()

        def submit(count: int | None) -> None:
            for item in islice(rest, count):
                future = self._executor.submit(do_packed, packed, pack(item), call)
                futures[future] = item
                if isinstance(future, Future):
                    future.add_done_callback(ended.put)

        # submitit makes one array of all that is submitted in such a block
        batch = getattr(self._executor, "batch", nullcontext) if not self._at_once else nullcontext
        try:
            with _explained_refusal(), batch():
                submit(self._at_once)
            for future in _wait(futures, ended):
                item = futures.pop(future)
                yield item, unpack_answer(_receive(future, name(item)), told)
                with _explained_refusal():
                    submit(1)
        finally:
            for future in futures:
                with suppress(Exception):  # submitit's calls scancel, which fails of what has ended
                    future.cancel()


def starts_all_at_once(executor: Any) -> bool:
    """Tell whether an executor starts a process for each item, however many there are.

    So does submitit's local one, and its automatic one where there is no cluster.
    """
    kind = getattr(executor, "cluster", type(executor).__name__)
    return hasattr(executor, "batch") and kind in ("local", "LocalExecutor")


def _wait(futures: Mapping[Any, object], ended: "SimpleQueue[Any]") -> Iterator[Any]:
    """Give futures as they are done, and hold none that was given: its result may be large.

    Args:
        futures: Those that were not given; whoever takes one takes it out, and may add others.
        ended: Gives those of ``concurrent.futures`` as they are done.
    """
    while futures:
        if isinstance(next(iter(futures)), Future):
            yield ended.get()
            continue
        done = [future for future in futures if future.done()]
        if not done:
            time.sleep(ASKED_EVERY)
        while done:
            yield done.pop(0)


def _receive(future: Any, name: str) -> bytes:
    try:
        received: bytes = future.result()
    except Exception as error:  # of any executor: what it says when a process is gone
        raise explain_lost(name, error) from error
    return received


@contextmanager
def _explained_refusal() -> Iterator[None]:
    try:
        yield
    except VizcnnError:
        raise
    except Exception as error:  # of any executor: one that is broken, closed, or full
        reason = " ".join(str(error).split())
        raise VizcnnError(
            f"the executor takes no work ({type(error).__name__}: {quote(reason, 200)}): make a "
            "new one; what is done is kept, and the same call goes on from there"
        ) from error


def explain_lost(name: str, error: Exception) -> VizcnnError:
    """Say what it means that no answer came for an item."""
    reason = next(filter(None, map(str.strip, str(error).splitlines())), "")
    if isinstance(error, BrokenExecutor):  # which says the same of all that it was at
        name += ", or another one that was at work"
    return VizcnnError(
        f"no answer came for {name} ({type(error).__name__}: {quote(reason, 200)}): its process "
        "was ended from outside, perhaps for want of memory, or cannot import vizcnn; what is done "
        "is kept, and the same call goes on from there"
    )


def pack(value: Any) -> bytes:
    """Pickle what another process gets.

    Raises:
        VizcnnError: If it cannot be pickled.
    """
    try:
        return pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise VizcnnError(
            f"{type(value).__name__} cannot be sent to other processes ({reason:.200}): define "
            "what loads the net, and the data set, in a module that those can import"
        ) from None


def _unpack(packed: bytes) -> Any:
    """Give what another process has packed.

    Raises:
        VizcnnError: If this one does not know what it is.
    """
    try:
        return pickle.loads(packed)
    except (AttributeError, ImportError, TypeError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())
        raise VizcnnError(
            f"a process of the pool does not know what another one sent ({type(error).__name__}: "
            f"{quote(reason, 200)}): give all machines the same version of vizcnn, and the modules "
            "of your net and data set"
        ) from None


_HELD = threading.local()
"""The work that this thread has begun, and the checksum of what began it."""


def do_packed(begin: bytes, item: bytes, call: str = "") -> bytes:
    """Do some work for an item, in another process; gives a packed :class:`Answer`.

    Args:
        begin: What gives the work, packed.
        item: What to do it for, packed.
        call: Another word for each call of :meth:`Pool.work_through`. Dask takes two tasks of equal
            arguments for one, and as long as anybody holds its future, such as a notebook that
            has shown an error, it answers with what became of the former one.
    """
    _end_with_parent()
    return pickle.dumps(answer(lambda packed: _find_work(begin)(_unpack(packed)), item))


_WATCHERS = set[int]()
"""Processes that end with their parents; a fork of one has another number."""


def _end_with_parent() -> None:
    """Let this process end with the one that started it, if that was by ``multiprocessing``.

    A worker of ``concurrent.futures`` whose parent was killed waits for work forever, and holds a
    net and the lock of a part's file meanwhile. One that never had work holds nothing, and stays.
    """
    parent = multiprocessing.parent_process()
    if parent is None or os.getpid() in _WATCHERS:
        return
    _WATCHERS.add(os.getpid())
    first = os.getppid()

    def wait() -> None:
        # its pipe may be held open by forks of the parent, which are workers too
        while parent.is_alive() and os.getppid() == first:
            parent.join(WATCHED_EVERY)
        os._exit(1)

    threading.Thread(target=wait, name="ends with its parent", daemon=True).start()


def _find_work(begin: bytes) -> Work[Any, Any]:
    key = hashlib.sha256(begin).digest()
    if getattr(_HELD, "key", None) != key:
        _HELD.key = _HELD.work = None  # what was held goes first: two nets may be too much
        _HELD.work = _unpack(begin)()
        _HELD.key = key
    work: Work[Any, Any] = _HELD.work
    return work


def unpack_answer(packed: bytes, told: set[tuple[type[Warning], str]]) -> Any:
    """Give what an answer says, or raise it.

    Args:
        packed: From :func:`do_packed`.
        told: Warnings that were given before; this answer's are added.
    """
    found: Answer = _unpack(packed)
    for word in found.warnings:
        if word not in told:
            warnings.warn(word[1], word[0], stacklevel=3)
        told.add(word)
    if (error := link_errors(found.errors)) is not None:
        raise error
    return found.result
