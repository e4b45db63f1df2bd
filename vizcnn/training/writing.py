"""Files that are whole or not there: written under a temporary name, then moved into place."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vizcnn.errors import DataError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside a path and move it there if the block succeeds.

    A process killed in the block leaves the former file as it was; an exception also removes the
    temporary file.

    Args:
        path: The file to write; its folder is made when it is missing.

    Yields:
        The name to write to, in the same folder.

    Raises:
        DataError: If the folder or file cannot be written, or the disk is full.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "note.txt"
        >>> with replacing(target) as temporary:
        ...     _ = temporary.write_text("done")
        >>> target.read_text()
        'done'
    """
    temporary = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("r+b") as written:
            os.fsync(written.fileno())  # on the disk before the former file goes
        temporary.replace(path)
    except OSError as error:
        raise DataError(
            f"{str(path)!r} cannot be written ({error.strerror or type(error).__name__}): "
            "free some space, or choose another folder"
        ) from error
    finally:
        if temporary.is_file():
            temporary.unlink()
