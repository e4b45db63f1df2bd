"""Locks on folders and files: the system lets go of them when their process ends, however it ends.

Where the system or the file system has none (Windows, some network drives), a second run is not
refused, and what killed runs left is not removed, as it cannot be told from what is in use.
"""

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vizcnn.basics.errors import VizcnnError

if sys.platform != "win32":
    import fcntl

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""Neither a link is followed, nor a pipe waited for."""
_IS_LINK = (errno.ELOOP, errno.EMLINK)


class BusyError(VizcnnError):
    """Another run is at work there."""


_held: set[int] = set()
"""Open files that hold a lock in this process."""


def _let_go_in_child() -> None:
    """Close the locks that a forked process got with its memory: it must not keep them alive."""
    for file in _held:
        with suppress(OSError):
            os.close(file)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


@contextmanager
def hold_folder(folder: Path) -> Iterator[bool]:
    """Keep a folder for this run alone; nothing is written for it, and nothing stays after a kill.

    Args:
        folder: The folder, or a link to it; it has to exist.

    Yields:
        Whether it is held: False where there are no locks.

    Raises:
        BusyError: If another run holds it.
        OSError: If it is missing, or cannot be opened.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with hold_folder(folder), hold_folder(folder):
        ...     pass
        Traceback (most recent call last):
        vizcnn.basics.locks.BusyError: another vizcnn is at work in '...': wait for it, or ...
    """
    if sys.platform == "win32":
        yield False
        return
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        held = _lock(file)
        if held is None:
            raise BusyError(
                f"another vizcnn is at work in {str(folder)!r}: wait for it, or choose another "
                "--out"
            )
        yield held
    finally:
        _close(file)


@contextmanager
def create_file(path: Path) -> Iterator[int]:
    """Make a file for this run alone, which is gone in the end unless it was moved elsewhere.

    What is there under its name is no one's but a killed run's, and replaced; a link is removed,
    never followed. So the name has to be one that only vizcnn gives: ``.vizcnn-....part``.

    Args:
        path: The file; its folder has to exist.

    Yields:
        The open file, empty, to read and write.

    Raises:
        BusyError: If another run has made it and is still at work.
        OSError: If it cannot be made.
    """
    file = _create(path)
    try:
        yield file
    finally:
        if is_same(path, file):
            path.unlink()
        _close(file)


@contextmanager
def continue_file(path: Path) -> Iterator[int]:
    """Open a file that grows over several runs, for this run alone; it stays, unless it is empty.

    A link, or another name of a file elsewhere, is removed and begun anew, never written through.

    Args:
        path: The file; its folder has to exist.

    Yields:
        The open file, to read and write; at its beginning.

    Raises:
        BusyError: If another run is writing it.
        OSError: If it cannot be opened.
    """
    file = _open_anew(path)
    try:
        yield file
    finally:
        if is_same(path, file) and os.fstat(file).st_size == 0:
            path.unlink()
        _close(file)


def _open_anew(path: Path) -> int:
    for _ in range(100):
        with suppress(FileNotFoundError):
            if not _is_plain(path.lstat()):
                path.unlink()
        flags = os.O_RDWR | os.O_CREAT | _NO_FOLLOW | getattr(os, "O_BINARY", 0)
        file = os.open(path, flags, 0o666)
        if _lock(file) is None:
            _close(file)
            raise _tell_busy(path)
        if is_same(path, file) and _is_plain(os.fstat(file)):
            return file
        _close(file)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _is_plain(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def _tell_busy(path: Path) -> BusyError:
    return BusyError(f"another vizcnn is writing {str(path)!r}: wait until it has ended")


def is_same(path: Path, file: int) -> bool:
    """Tell whether a name still stands for an open file, and for no link to it."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(file))
    except OSError:
        return False


def _create(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | getattr(os, "O_BINARY", 0)
    for _ in range(100):
        try:
            file = os.open(path, flags, 0o666)
        except FileExistsError:
            _remove_dead(path)
            continue
        try:
            # another process may have taken it for a dead one's before it was locked
            if _lock(file) is not None and is_same(path, file):
                return file
        except BaseException:
            _close(file)
            raise
        _close(file)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _remove_dead(path: Path) -> None:
    """Remove what has the name of a file to be made, unless a living run holds it."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            path.unlink()
            return
        file = os.open(path, os.O_RDONLY | _NO_FOLLOW)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in _IS_LINK:
            raise
        path.unlink()
        return
    try:
        if _lock(file) is None:
            raise _tell_busy(path)
        if is_same(path, file):
            path.unlink()
    finally:
        _close(file)


def _lock(file: int) -> bool | None:
    """Lock an open file: True if it is held, None if another holds it, False without locks."""
    if sys.platform == "win32":
        return False
    _held.add(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    except OSError:  # the file system has none
        return False
    return True


def _close(file: int) -> None:
    _held.discard(file)
    with suppress(OSError):
        os.close(file)
