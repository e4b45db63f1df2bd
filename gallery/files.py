"""Files that appear whole or not at all."""

import os
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
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(text.encode("utf-8", errors="backslashreplace"))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
