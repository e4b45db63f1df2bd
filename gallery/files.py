"""Files that appear whole or not at all."""

from pathlib import Path

from vizcnn.files import replacing


def write_text(path: Path, text: str, flush: bool = True) -> Path:
    """Write a text file through a temporary name in the same folder.

    Args:
        path: Where the file goes; its folder is made when it is missing.
        text: The contents; a character that UTF-8 cannot hold (of a file name that is not UTF-8)
            is written as a backslash escape.
        flush: As in :func:`vizcnn.files.replacing`.

    Returns:
        The path.

    Raises:
        VizcnnError: If it cannot be written; the old file, if any, is then untouched.
    """
    with replacing(path, flush=flush) as temporary:
        temporary.write_bytes(text.encode("utf-8", errors="backslashreplace"))
    return path
