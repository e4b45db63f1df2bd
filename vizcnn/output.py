"""Output folders: written beside their place and moved in when complete, so none is half-made."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vizcnn.errors import VizcnnError

LIST_NAME = ".vizcnn-files.json"
"""Names the files that vizcnn wrote into a folder, so that the next run replaces just those."""


@contextmanager
def write_folder(folder: Path) -> Iterator[Path]:
    """Collect files in a temporary folder; move them into place when the block succeeds.

    A folder of an earlier run is brought up to date: its own files are replaced or removed, files
    of others are left alone. On an exception (Ctrl-C too) it stays as it was.

    Args:
        folder: Where the files go in the end.

    Yields:
        The temporary folder to write into.

    Raises:
        VizcnnError: If the folder holds files that vizcnn did not write, or cannot be written.
    """
    _refuse_foreign(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(
            tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent)
        )
    except OSError as error:
        raise VizcnnError(
            f"cannot write to {str(folder)!r} ({error.strerror}): choose another --out"
        ) from None
    try:
        yield staging
        _move_into_place(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise VizcnnError(f"{str(folder)!r} is a file; needed: a folder for the results (--out)")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / LIST_NAME).is_file():
        raise VizcnnError(
            f"the folder {str(folder)!r} holds files that are not vizcnn's: choose another --out"
        )


def _move_into_place(staging: Path, folder: Path) -> None:
    made = sorted(str(path.relative_to(staging)) for path in staging.rglob("*") if path.is_file())
    former = _read_list(folder)
    (staging / LIST_NAME).write_text(json.dumps(made, indent=0), encoding="utf-8")
    for name in [*made, LIST_NAME]:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staging / name, target)
    for name in set(former) - set(made):
        _remove(folder, name)


def _read_list(folder: Path) -> list[str]:
    try:
        names = json.loads((folder / LIST_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _remove(folder: Path, name: str) -> None:
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()):
        return  # a list that was tampered with must not reach outside
    target.unlink(missing_ok=True)
    for parent in target.parents:
        if parent == folder.resolve() or any(parent.iterdir()):
            break
        parent.rmdir()
