"""Files that appear whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path


def write_text(path: Path, text: str) -> Path:
    """Write a text file through a temporary name in the same folder.

    Args:
        path: Where the file goes; its folder is made when it is missing.
        text: The contents; a character that UTF-8 cannot hold (of a file name that is not UTF-8)
            is written as a backslash escape.

    Returns:
        The path.

    Raises:
        OSError: If the folder cannot be written; the old file, if any, is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", errors="backslashreplace"))
        # a temporary file is readable by its owner alone; a gallery is meant to be shared
        part.chmod(0o666 & ~_current_umask())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        raise
    return path


def _current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
