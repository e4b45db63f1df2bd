"""Work for Ray's actors, which import it without torch, and what is left of them."""

import os
import signal
import warnings
from dataclasses import dataclass
from pathlib import Path

from vizcnn.basics.errors import DataError, PhotoWarning


@dataclass(frozen=True)
class Counting:
    """Begins work that counts what its process did, in a file of a folder for each attempt.

    Attributes:
        folder: Where it counts.
        deadly: The item that ends its process.
        deaths: How often it does.
        wrong: The item that is an error.
    """

    folder: Path
    deadly: int = -1
    deaths: int = 0
    wrong: int = -1

    def __call__(self):
        (self.folder / f"begun {os.getpid()}").touch()
        return self.work

    def work(self, item):
        attempt = len(list(self.folder.glob(f"item {item} *")))
        (self.folder / f"item {item} {attempt}").touch()
        if item == self.deadly and attempt < self.deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        if item == self.wrong:
            raise DataError(f"item {item} is wrong")
        if item == 0:
            warnings.warn("item 0 is odd", PhotoWarning, stacklevel=1)
        return item * item


def list_session(number):
    """List the processes of a session, but the two of Ray's agents that end by themselves."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session = (path / "stat").read_text().rpartition(") ")[2].split()[:4]
            words = (path / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if int(session) == number and state != "Z" and "Agent" not in words:
            found.append(words)
    return found
