"""What belongs to the whole process, changed for a while by any number of threads."""

import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from vizcnn.basics.errors import PhotoWarning


class _Lock(Protocol):
    def acquire(self) -> object: ...

    def release(self) -> None: ...


class ProcessContext:
    """A context that changes the whole process: the first thread in enters it, the last leaves it.

    Entered by each thread on its own, a later one would take the changed state for the former one
    and put that back in the end.

    Args:
        make: Makes the context anew, each time that a first thread comes in.

    Example:
        >>> from contextlib import redirect_stdout
        >>> from io import StringIO
        >>> hushed = ProcessContext(lambda: redirect_stdout(StringIO()))
        >>> with hushed, hushed:
        ...     print("unheard")
        >>> print("heard")
        heard
    """

    def __init__(self, make: Callable[[], AbstractContextManager[object]]) -> None:
        self._make = make
        self._lock = threading.RLock()
        self._inside: list[int] = []
        self._context: AbstractContextManager[object] | None = None
        keep_over_fork(self._lock, self._forget_others)

    def __enter__(self) -> None:
        with self._lock:
            if self._context is None:
                context = self._make()
                context.__enter__()
                self._context = context
            self._inside.append(threading.get_ident())

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            me = threading.get_ident()
            # a generator that holds a context may be closed by another thread
            self._inside.remove(me if me in self._inside else self._inside[0])
            self._leave_if_last()

    def _leave_if_last(self) -> None:
        if not self._inside and self._context is not None:
            context, self._context = self._context, None
            context.__exit__(None, None, None)

    def _forget_others(self) -> None:
        me = threading.get_ident()
        self._inside = [thread for thread in self._inside if thread == me]
        self._leave_if_last()


def keep_over_fork(lock: _Lock, forget_others: Callable[[], None]) -> None:
    """Let a process that is forked begin with a free lock, and without the threads left behind.

    Args:
        lock: Taken by whoever changes the state that it guards.
        forget_others: Takes out of that state what other threads than this one had put into it.
    """

    def begin_child() -> None:
        lock.release()
        forget_others()

    if hasattr(os, "register_at_fork"):  # Windows starts processes anew
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=begin_child
        )


Heard = dict[tuple[type[Warning], str], None]
"""Categories and texts of warnings, each once, in their order."""

_HEARD: dict[int, list[Heard]] = {}
"""What threads hear, the innermost block last."""


@contextmanager
def _hear() -> Iterator[None]:
    with warnings.catch_warnings():
        show = warnings.showwarning

        def keep(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if blocks := _HEARD.get(threading.get_ident()):
                blocks[-1].setdefault((category, str(message)))
            else:
                show(message, category, *place, **more)

        warnings.simplefilter("default")
        warnings.simplefilter("always", PhotoWarning)
        warnings.showwarning = keep
        yield


_HEARING = ProcessContext(_hear)


@contextmanager
def hear_warnings() -> Iterator[Heard]:
    """Keep the warnings that this thread gives; those of others go where they went before.

    ``warnings.catch_warnings(record=True)`` takes those of all threads, and the last to leave it
    may leave it in place.

    Yields:
        What is filled with them.

    Example:
        >>> with hear_warnings() as heard:
        ...     warnings.warn("odd", stacklevel=1)
        >>> [text for _, text in heard]
        ['odd']
    """
    heard: Heard = {}
    with _HEARING:
        blocks = _HEARD.setdefault(threading.get_ident(), [])
        blocks.append(heard)
        try:
            yield heard
        finally:
            blocks.pop()
            if not blocks:
                del _HEARD[threading.get_ident()]
