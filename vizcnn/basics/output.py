"""Output folders: written beside their place and moved in when complete, so none is half-made."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.interrupts import hold_interrupts

FigureFormat = Literal["png", "svg", "pdf"]
FIGURE_FORMATS: tuple[FigureFormat, ...] = ("png", "svg", "pdf")

LIST_NAME = ".vizcnn-files.json"
"""Names the files that vizcnn wrote into a folder, so that the next run replaces just those."""

_PREFIX, _SUFFIX = ".vizcnn-", ".part"


@contextmanager
def write_folder(folder: Path) -> Iterator[Path]:
    """Collect files in a temporary folder; move them into place when the block succeeds.

    A folder of an earlier run is brought up to date: its own files are replaced or removed, files
    of others are left alone. On an exception (Ctrl-C too) it stays as it was. The folder may be a
    link itself; links in it are not followed, so that nothing outside it is written or removed.

    Args:
        folder: Where the files go in the end.

    Yields:
        The temporary folder to write into.

    Raises:
        VizcnnError: If the folder holds files that vizcnn did not write, or a link in the place of
            a folder, or cannot be written.
    """
    with _explain(folder):
        refuse_foreign(folder)
        made_folders = _make_folders(folder if folder.is_dir() else folder.parent)
    try:
        with _explain(folder):
            # inside a folder that exists: it may be a mount, into which nothing can be moved
            home = folder if folder.is_dir() else folder.parent
            staging = Path(tempfile.mkdtemp(_SUFFIX, _PREFIX, home))
        try:
            yield staging
            with _explain(folder), hold_interrupts():
                _move_into_place(staging, folder)
        finally:
            with hold_interrupts():
                shutil.rmtree(staging, ignore_errors=True)
    finally:
        _remove_empty(made_folders)


@contextmanager
def _explain(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VizcnnError(
            f"cannot write to {str(folder)!r} ({error.strerror}): choose another --out"
        ) from None


def refuse_foreign(folder: Path) -> None:
    """Make sure that a folder may be written to: it is missing, empty or vizcnn's own.

    Raises:
        VizcnnError: If it holds files that vizcnn did not write, or is a file.
    """
    for place in (folder, *folder.parents):
        if os.path.lexists(place) and not place.is_dir():
            raise VizcnnError(f"{str(place)!r} is a file; needed: a folder for the results (--out)")
    if folder.is_dir() and not (folder / LIST_NAME).is_file():
        # what a killed run left behind is not of others
        if all(p.name.startswith(_PREFIX) and p.suffix == _SUFFIX for p in folder.iterdir()):
            return
        raise VizcnnError(
            f"the folder {str(folder)!r} holds files that are not vizcnn's: choose another --out"
        )


def refuse_links(folder: Path, names: Iterable[Path]) -> None:
    """Make sure that names in a folder of results lead to files in it, through no link.

    Args:
        folder: The folder of results.
        names: Relative paths of folders in it, whether they exist or not.

    Raises:
        VizcnnError: If one is a link, or is behind one.
    """
    parts = {part for name in names for part in (name, *name.parents)} - {Path()}
    for name in sorted(parts):
        if (folder / name).is_symlink():
            raise VizcnnError(
                f"{str(folder / name)!r} is a link, and links in a folder of results are not "
                "followed: remove it, or choose another --out"
            )


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and its parents; give those that are new, the innermost first."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return made


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:  # it holds the results
            return


def _move_into_place(staging: Path, folder: Path) -> None:
    """Move the new files in and the former ones out; on an exception, all of them back."""
    made = sorted(path.relative_to(staging) for path in staging.rglob("*") if path.is_file())
    former = _read_list(folder)
    refuse_links(folder, [name.parent for name in made])
    _refuse_collisions(folder, set(made) - set(former))
    made_folders = _make_folders(folder)
    trash = staging / f"former{_SUFFIX}"
    (staging / LIST_NAME).write_text(
        json.dumps([name.as_posix() for name in made], indent=0), encoding="utf-8"
    )
    moves = [(folder / name, trash / name) for name in former]
    moves += [(folder / LIST_NAME, trash / LIST_NAME)] if (folder / LIST_NAME).exists() else []
    # the list first: the files of a run that is killed here are known as vizcnn's own
    moves += [(staging / name, folder / name) for name in [Path(LIST_NAME), *made]]
    done: list[tuple[Path, Path]] = []
    try:
        for source, target in moves:
            done.append((source, target))
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
    except BaseException:
        for source, target in reversed(done):
            if os.path.lexists(target) and not os.path.lexists(source):
                os.replace(target, source)
        _prune(folder, made)
        _remove_empty(made_folders)
        raise
    _prune(folder, former)


def _refuse_collisions(folder: Path, names: set[Path]) -> None:
    foreign = sorted(name for name in names if os.path.lexists(folder / name))
    if foreign:
        raise VizcnnError(
            f"{str(folder / foreign[0])!r} is in the way and not vizcnn's: move it, or choose "
            "another --out"
        )


def _read_list(folder: Path) -> list[Path]:
    """Give the files of an earlier run that are still there."""
    try:
        names = json.loads((folder / LIST_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    names = names if isinstance(names, list) else []
    paths = {Path(name) for name in names if isinstance(name, str) and "\0" not in name}
    return sorted(path for path in paths if _is_within(folder, path))


def _is_within(folder: Path, name: Path) -> bool:
    """Tell whether a name stands for a file in a folder: a list may have been tampered with."""
    target = folder / name
    inside = target.parent.resolve().is_relative_to(folder.resolve()) and ".." not in name.parts
    linked = any((folder / parent).is_symlink() for parent in name.parents[:-1])
    return inside and not linked and not target.is_dir() and os.path.lexists(target)


def _prune(folder: Path, names: list[Path]) -> None:
    """Remove the folders of files that are gone, where nothing else is in them."""
    for parent in sorted({folder / up for name in names for up in name.parents[:-1]}, reverse=True):
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
