"""Ctrl-C and its kin: signals that end a command, and how they wait for a safe moment."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that ask a process to end: Ctrl-C, a scheduler's request, a terminal that was closed."""


class Interrupted(KeyboardInterrupt):
    """A signal has asked the process to end.

    Attributes:
        number: The signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


def raise_on_signals() -> None:
    """Make every signal of :data:`ENDING` end this process as Ctrl-C does, by an exception.

    For a command, as it changes the whole process. A signal that is ignored stays so, as under
    ``nohup`` or in a shell's background job.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


def ignore_signals() -> None:
    """Ignore every signal of :data:`ENDING` from now on: nothing is left that they could stop."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def leave_signals_to_the_parent() -> None:
    """Make a worker process deaf to what a terminal sends to all of a command's processes.

    Its parent hears it too, and ends the worker; a request to end that is sent to the worker alone
    ends it at once.
    """
    for number in ENDING:
        ends_one = number == signal.SIGTERM
        signal.signal(number, signal.SIG_DFL if ends_one else signal.SIG_IGN)


@contextmanager
def hold_interrupts() -> Iterator[None]:
    """Let signals of :data:`ENDING` wait until the block is left: none meets a half-done step.

    Outside the main thread, where Python delivers no signals, this does nothing.

    Example:
        >>> with hold_interrupts():
        ...     total = sum(range(4))
        >>> total
        6
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    former = {
        number: signal.signal(number, lambda number, frame: held.append(number))
        for number in ENDING
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in former.items():
            # None: a handler that was not set from Python and cannot be put back
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    for number in held[:1]:
        signal.raise_signal(number)
