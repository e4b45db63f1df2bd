"""Saves an index in a thread, while the run that fills it goes on."""

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from vizcnn.mining.index import StrongestIndex, write_index


class IndexWriter:
    """Writes an index again and again, one file at a time, each whole or not at all.

    Args:
        interval: Seconds between two savings.
        share: Saving may take one part in so many of the time, however short the interval.
    """

    def __init__(self, interval: float, share: float) -> None:
        self._interval, self._share = interval, share
        self._next = 0.0
        self._running: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1)

    @property
    def is_due(self) -> bool:
        """Whether it is time to save again.

        Raises:
            DataError: If the former saving has failed.
        """
        if self._running is not None and self._running.done():
            self.wait()
        return time.monotonic() >= self._next

    def save(self, index: StrongestIndex, file: Path) -> None:
        """Begin to write an index as it is now; the former saving is waited for.

        Raises:
            DataError: If the former saving has failed.
        """
        self.wait()
        now = replace(index, digests=index.digests.clone())  # they are filled in while it is saved
        self._next = time.monotonic() + self._interval
        self._running = self._thread.submit(self._write, now, file)

    def _write(self, index: StrongestIndex, file: Path) -> None:
        began = time.monotonic()
        write_index(index, file)
        now = time.monotonic()
        self._next = now + max(self._interval, self._share * (now - began))

    def wait(self) -> None:
        """Wait until what was begun is saved.

        Raises:
            DataError: If it cannot be written; a former file is then as it was.
        """
        if self._running is not None:
            wait([self._running])  # after a Ctrl-C it is written to the end, and can be waited for
            running, self._running = self._running, None
            running.result()
