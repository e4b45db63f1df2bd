"""Ctrl-C that waits for a safe moment."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hold_interrupts() -> Iterator[None]:
    """Let a Ctrl-C wait until the block is left, so that it never meets a half-done step.

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
    former = signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        # None: a handler that was not set from Python and cannot be put back
        signal.signal(signal.SIGINT, signal.SIG_DFL if former is None else former)
    if held:
        signal.raise_signal(signal.SIGINT)
