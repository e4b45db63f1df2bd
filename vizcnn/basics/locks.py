"""A lock on a folder: one run at a time works in it, and a dead one holds nothing."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vizcnn.basics.errors import VizcnnError, quote

_held: set[Path] = set()
_looking = threading.Lock()


@contextmanager
def hold_lock(file: Path) -> Iterator[None]:
    """Hold the lock of a folder while the block runs.

    The system gives it back when the process ends, in whatever way, so that the file alone, which
    stays, locks nothing. Processes started in the block do not hold it.

    Args:
        file: The lock's file in the folder, which exists; made when it is missing. Whatever else
            has come in its place is removed, but a link is not followed.

    Raises:
        VizcnnError: If a run holds it, in this process or another, or it cannot be made.

    Example:
        >>> import tempfile
        >>> lock = Path(tempfile.mkdtemp()) / "lock"
        >>> with hold_lock(lock), hold_lock(lock):
        ...     pass
        Traceback (most recent call last):
        vizcnn.basics.errors.VizcnnError: another vizcnn is at work in ...
    """
    busy = VizcnnError(
        f"another vizcnn is at work in {quote(file.parent)}: wait for it, or choose another --out"
    )
    place = file.parent.resolve() / file.name
    with _looking:  # the system's lock is one for all threads, and lost when any file of it closes
        if place in _held:
            raise busy
        _held.add(place)
    try:
        handle = _take(file, busy)
        try:
            yield
        finally:
            if handle is not None:
                os.close(handle)
    finally:
        _held.discard(place)


def _take(file: Path, busy: VizcnnError) -> int | None:
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    handle = None
    try:
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file)
        elif file.exists() and not file.is_file():
            file.unlink()
        # neither emptied nor followed, should it have become a link since it was looked at
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        # not flock, which processes that read photos would hold on to after a kill
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        taken = os.path.samestat(os.fstat(handle), file.stat())
    except (BlockingIOError, FileNotFoundError):
        taken = False
    except OSError as error:
        if handle is not None:
            os.close(handle)
        raise VizcnnError(
            f"{quote(file)} cannot be locked ({error.strerror}): choose another --out"
        ) from None
    if not taken:  # a run holds it, or removed it just now
        if handle is not None:
            os.close(handle)
        raise busy
    return handle
