"""Work for pools: it leaves a file for each time that it is begun or done, and dies if it shall."""

import os
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path

FATAL = 3
"""The item that work may die of."""


@dataclass(frozen=True)
class Squares:
    """Begins work that squares numbers.

    Args:
        folder: Where files tell what was done.
        deaths: How often the process dies of :data:`FATAL` before it gets through.
        errors: How often :data:`FATAL` is an error before it is none.
    """

    folder: Path
    deaths: int = 0
    errors: int = 0

    def __call__(self):
        self._tell("begun")
        return self._square

    def count(self, what):
        return len(list(self.folder.glob(f"{what}-*")))

    def _tell(self, what):
        descriptor, _ = tempfile.mkstemp(prefix=f"{what}-", dir=self.folder)
        os.close(descriptor)

    def _square(self, number):
        if number == FATAL and self.count("died") < self.deaths:
            self._tell("died")
            os.kill(os.getpid(), signal.SIGKILL)
        if number == FATAL and self.count("failed") < self.errors:
            self._tell("failed")
            raise ValueError("not now")
        self._tell("done")
        return number**2
