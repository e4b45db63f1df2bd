"""Whole files and their checksums: written under a temporary name, then moved into place."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vizcnn.basics.errors import VizcnnError
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
    try:
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
    except OSError as error:
        raise failure(
            f"{str(path)!r} cannot be written ({error.strerror or type(error).__name__}): "
            "free some space, or choose another folder"
        ) from error


def hash_file(path: Path) -> str:
    """Compute the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
