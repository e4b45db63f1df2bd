"""Whole files and their checksums: written under a temporary name, then moved into place."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from vizcnn.basics.errors import VizcnnError, advise, quote
from vizcnn.basics.locks import create_file, is_same

PREFIX, SUFFIX = ".vizcnn-", ".part"
"""Of the names of what is not finished."""


@contextmanager
def replacing(
    path: Path, failure: type[VizcnnError] = VizcnnError, flush: bool = True
) -> Iterator[Path]:
    """Give a temporary name beside a path and move it there if the block succeeds.

    A process killed in the block leaves the former file as it was, and the next one to write it
    removes what is left of it; an exception also removes the temporary file. A link in the place of
    either is replaced, never followed.

    Args:
        path: The file to write; its folder is made when it is missing.
        failure: What to raise if it cannot be written.
        flush: Whether to wait until the disk has it, so that a power cut cannot lose it either;
            thousands of files that are made anew with ease go faster without.

    Yields:
        The name to write to, in the same folder.

    Raises:
        VizcnnError: ``failure``, if the folder or file cannot be written, or the disk is full; or
            if another run is writing it.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "note.txt"
        >>> with replacing(target) as temporary:
        ...     _ = temporary.write_text("done")
        >>> target.read_text()
        'done'
    """
    # one name, not one per process: what a killed run left is removed by the next
    temporary = path.with_name(f"{PREFIX}{path.name}{SUFFIX}")
    with explain_refused_file(path, failure):
        path.parent.mkdir(parents=True, exist_ok=True)
        with create_file(temporary) as file:
            yield temporary
            if not is_same(temporary, file):
                raise OSError(errno.ESTALE, "its temporary file was taken away")
            if flush:
                os.fsync(file)  # on the disk before the former file goes
            if os.name == "nt":  # an open file cannot be moved there
                os.close(file)
            temporary.replace(path)


@contextmanager
def explain_refused_file(path: Path, failure: type[VizcnnError] = VizcnnError) -> Iterator[None]:
    """Tell in one line why the system does not let a block write a file.

    Raises:
        VizcnnError: ``failure``, in place of an :class:`OSError`.
    """
    try:
        yield
    except OSError as error:
        raise failure(
            f"{quote(path)} cannot be written ({error.strerror or type(error).__name__}): "
            f"{advise(error, 'free some space, or choose another folder')}"
        ) from error


def open_plain_file(
    path: Path,
    what: str = "file",
    failure: type[VizcnnError] = VizcnnError,
    largest: int | None = None,
) -> BufferedReader:
    """Open a file that is read in, after a look at what it is.

    A pipe would wait for ever, a device never ends, and a file of any size would fill the memory.

    Args:
        path: The file; a link to one will do.
        what: What it should be, for the error: ``"weight file"``, ``"photo"``.
        failure: What to raise.
        largest: Bytes that it may have; None for one that is not read whole.

    Returns:
        The open file.

    Raises:
        VizcnnError: ``failure``, if it is missing, a folder, a pipe, a device or a socket, empty,
            larger than that, or cannot be read; one line.

    Example:
        >>> open_plain_file(Path("missing.json"), "card")
        Traceback (most recent call last):
        vizcnn.basics.errors.VizcnnError: no card 'missing.json': check the path
    """
    name, kind = quote(path), f"a{'n' if what[0] in 'aeio' else ''} {what}"
    try:
        # a look before it is opened: that alone makes some devices do something
        if not stat.S_ISREG(path.stat().st_mode):
            if path.is_dir():
                raise failure(f"{name} is a folder, not {kind}")
            raise failure(f"{name} is not a plain file: give {kind}")
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags), "rb")
        facts = os.fstat(file.fileno())
    except FileNotFoundError:
        if path.is_symlink():
            raise failure(f"{name} is a link that leads nowhere: check what it names") from None
        raise failure(f"no {what} {name}: check the path") from None
    except PermissionError:
        raise failure(f"{name} may not be read: check its permissions") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        way_out = (
            advise(error, "check the path") if isinstance(error, OSError) else "check the path"
        )
        raise failure(f"{name} cannot be opened ({reason}): {way_out}") from None
    complaint = ""
    if not stat.S_ISREG(facts.st_mode):  # another one has come in its place
        complaint = f"is not a plain file: give {kind}"
    elif facts.st_size == 0:
        complaint = "is empty (0 bytes): copy it again"
    elif largest is not None and facts.st_size > largest:
        complaint = f"has {facts.st_size:,} bytes, {kind} has at most {largest:,}: give another"
    if complaint:
        file.close()
        raise failure(f"{name} {complaint}")
    return file


def read_plain_file(
    path: Path, what: str, failure: type[VizcnnError] = VizcnnError, *, largest: int
) -> bytes:
    """Read a whole file; as :func:`open_plain_file`, and no more than ``largest`` bytes.

    Raises:
        VizcnnError: ``failure``, as there.
    """
    with open_plain_file(path, what, failure, largest) as file:
        try:
            # Python takes memory for as many bytes as are asked for, before it reads
            return file.read(min(largest, os.fstat(file.fileno()).st_size))
        except OSError as error:
            raise failure(f"{quote(path)} cannot be read ({error.strerror})") from None


def hash_file(path: Path, what: str = "file", failure: type[VizcnnError] = VizcnnError) -> str:
    """Compute the SHA-256 of a file as 64 hexadecimal digits.

    Raises:
        VizcnnError: ``failure``, as :func:`open_plain_file` does.
    """
    with open_plain_file(path, what, failure) as file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise failure(f"{quote(path)} cannot be read ({error.strerror})") from None


def flush_file(path: Path) -> None:
    """Wait until the disk has a file that was written without a wait.

    Raises:
        VizcnnError: If it has no room for it, or fails.
    """
    with explain_refused_file(path), path.open("r+b") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str, flush: bool = True) -> Path:
    """Write a text file through a temporary name in the same folder.

    Args:
        path: Where the file goes; its folder is made when it is missing.
        text: The contents; a character that UTF-8 cannot hold (of a file name that is not UTF-8)
            is written as a backslash escape.
        flush: As in :func:`vizcnn.basics.files.replacing`.

    Returns:
        The path.

    Raises:
        VizcnnError: If it cannot be written; the old file, if any, is then untouched.
    """
    with replacing(path, flush=flush) as temporary:
        temporary.write_bytes(text.encode("utf-8", errors="backslashreplace"))
    return path
