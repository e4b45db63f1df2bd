"""Output folders: files are collected apart and moved in when complete, so none is half-made."""

import errno
import json
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Literal

from vizcnn.basics.errors import LeftoverWarning, VizcnnError, advise
from vizcnn.basics.files import PREFIX, SUFFIX, read_plain_file
from vizcnn.basics.interrupts import hold_interrupts
from vizcnn.basics.locks import create_file, hold_folder

FigureFormat = Literal["png", "svg", "pdf"]
FIGURE_FORMATS: tuple[FigureFormat, ...] = ("png", "svg", "pdf")

LIST_NAME = ".vizcnn-files.json"
"""Names the files that vizcnn wrote into a folder, so that the next run replaces just those."""
_STAGING = re.compile(re.escape(PREFIX) + "[a-z0-9_]{8}" + re.escape(SUFFIX))
"""Names of folders in which files are collected."""
_LARGEST_LIST = 100_000_000
"""Bytes of a list of files, of which the largest galleries have a million."""
_FORMER, _MOVED = f"former{SUFFIX}", f"moved{SUFFIX}"
"""Where former files are in such a folder: while the new ones are moved in, and after that."""


@contextmanager
def write_folder(folder: Path, list_name: str = LIST_NAME, held: bool = False) -> Iterator[Path]:
    """Collect files in a temporary folder; move them into place when the block succeeds.

    A folder of an earlier run is brought up to date: its own files are replaced or removed, files
    of others are left alone. On an exception (Ctrl-C too) it stays as it was; what a killed run
    left is brought back to what was there before it. The folder may be a link itself; links in it
    are not followed, so that nothing outside it is written or removed.

    Args:
        folder: Where the files go in the end; no other run may write to it until then.
        list_name: Name of the list of its files, which tells kinds of folders apart.
        held: The caller holds it already, by :func:`open_folder`.

    Yields:
        The temporary folder to write into, in the folder.

    Raises:
        VizcnnError: If the folder holds files that vizcnn did not write, or a link in the place of
            a folder, or cannot be written, or another run is at work in it.

    Example:
        >>> results = Path(tempfile.mkdtemp()) / "results"
        >>> with write_folder(results) as staging:
        ...     _ = (staging / "note.txt").write_text("done")
        >>> sorted(path.name for path in results.iterdir())
        ['.vizcnn-files.json', 'note.txt']
    """
    with nullcontext() if held else open_folder(folder, list_name):
        with explain_refused_folder(folder):
            # inside: the folder may be a mount, into which nothing can be moved from beside it
            staging = Path(tempfile.mkdtemp(SUFFIX, PREFIX, folder))
        try:
            yield staging
            with explain_refused_folder(folder), hold_interrupts():
                _move_into_place(staging, folder, list_name)
        finally:
            with hold_interrupts():
                shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def open_folder(folder: Path, list_name: str = LIST_NAME, own: bool = False) -> Iterator[None]:
    """Keep a folder of results for this run alone; it is made, and gone again if it stays empty.

    What killed runs left in it is put in order first, and told in a :class:`LeftoverWarning`.

    Args:
        folder: The folder, or a link to one.
        list_name: As in :func:`write_folder`.
        own: The caller knows it for vizcnn's own, though the list may be missing.

    Raises:
        VizcnnError: If the folder holds files that vizcnn did not write, or cannot be written, or
            another run is at work in it.
    """
    with explain_refused_folder(folder):
        refuse_foreign(folder, list_name, own)
    made: list[Path] = []
    try:
        with explain_refused_folder(folder), ExitStack() as stack:
            held = _hold(folder, made, stack)
            if held:
                _put_in_order(folder, list_name)
            rest = stack.pop_all()
        with rest:
            yield
    finally:
        _remove_empty(made)


@contextmanager
def hold_output(file: Path) -> Iterator[None]:
    """Keep a file that a run writes again and again for this run alone.

    Args:
        file: The file, which need not exist; its folder is made, and gone again if it stays empty.

    Raises:
        VizcnnError: If another run is writing it, or its folder cannot be written.
    """
    made: list[Path] = []
    try:
        with explain_refused_folder(file.parent), ExitStack() as stack:
            made += _make_folders(file.parent)
            stack.enter_context(create_file(name_lock(file)))
            rest = stack.pop_all()
        with rest:
            yield
    finally:
        _remove_empty(made)


def name_lock(file: Path) -> Path:
    """Name what stands beside a file while a run holds it, and still there if that was killed."""
    return file.with_name(f"{PREFIX}{file.name}.lock{SUFFIX}")


def _hold(folder: Path, made: list[Path], stack: ExitStack) -> bool:
    """Make a folder and hold it; another run may remove it in between, as it leaves it empty."""
    for _ in range(100):
        made[:0] = _make_folders(folder)
        with ExitStack() as trial, suppress(FileNotFoundError):
            held = trial.enter_context(hold_folder(folder))
            if folder.is_dir():
                stack.push(trial.pop_all())
                return held
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _put_in_order(folder: Path, list_name: str) -> None:
    """Remove what killed runs left in a folder that this run holds, and undo what they began."""
    left = [p for p in folder.iterdir() if _STAGING.fullmatch(p.name) and _is_folder(p)]
    for path in left:
        _roll_back(path, folder, list_name)
        shutil.rmtree(path, ignore_errors=True)
    if left:
        names = ", ".join(path.name for path in left[:3]) + (", ..." if left[3:] else "")
        warnings.warn(
            f"removed what a killed run had left in {str(folder)!r} ({names})",
            LeftoverWarning,
            stacklevel=2,
        )


@contextmanager
def explain_refused_folder(folder: Path) -> Iterator[None]:
    """Tell in one line why the system does not let a block write into a folder.

    Raises:
        VizcnnError: In place of an :class:`OSError`.
    """
    try:
        yield
    except OSError as error:
        raise VizcnnError(
            f"cannot write to {str(folder)!r} ({error.strerror}): "
            f"{advise(error, 'choose another --out')}"
        ) from None


def refuse_foreign(folder: Path, list_name: str = LIST_NAME, own: bool = False) -> None:
    """Make sure that a folder may be written to: it is missing, empty or vizcnn's own.

    Args:
        folder: The folder.
        list_name: As in :func:`write_folder`.
        own: As in :func:`open_folder`.

    Raises:
        VizcnnError: If it holds files that vizcnn did not write, or is a file.
    """
    for place in (folder, *folder.parents):
        if os.path.lexists(place) and not place.is_dir():
            raise VizcnnError(f"{str(place)!r} is a file; needed: a folder for the results (--out)")
    if folder.is_dir() and not own and not (folder / list_name).is_file():
        # what a killed run left behind is not of others
        if all(p.name.startswith(PREFIX) and p.suffix == SUFFIX for p in folder.iterdir()):
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


def _move_into_place(staging: Path, folder: Path, list_name: str) -> None:
    """Move the new files in and the former ones out; on an exception, all of them back."""
    made = sorted(path.relative_to(staging) for path in staging.rglob("*") if path.is_file())
    former = read_list(folder / list_name)
    refuse_links(folder, [name.parent for name in made])
    _refuse_collisions(folder, set(made) - set(former))
    (staging / list_name).write_text(
        json.dumps([name.as_posix() for name in made], indent=0), encoding="utf-8"
    )
    trash = staging / _FORMER
    trash.mkdir()
    moves = [(folder / name, trash / name) for name in former]
    if (folder / list_name).is_file():  # copied: a folder without a list counts as of others
        copy = staging / f"list{SUFFIX}"
        shutil.copyfile(folder / list_name, copy)
        moves += [(copy, trash / list_name)]
    # the list first: the files of a run that is killed here are known as vizcnn's own
    moves += [(staging / name, folder / name) for name in [Path(list_name), *made]]
    try:
        for source, target in moves:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
        os.replace(trash, staging / _MOVED)  # from here on nothing is brought back
    except BaseException:
        _roll_back(staging, folder, list_name)
        raise
    _prune(folder, former)


def _roll_back(staging: Path, folder: Path, list_name: str) -> None:
    """Bring back the former files of a folder into which new ones were being moved, if any were."""
    trash = staging / _FORMER
    if not _is_folder(trash):
        return
    if not (staging / list_name).exists():  # it went before the files that it names
        made = _read_names(folder / list_name)
        # the list last, as it makes them vizcnn's own; a former one is put back over it
        for name in made if (trash / list_name).is_file() else [*made, Path(list_name)]:
            with suppress(FileNotFoundError, NotADirectoryError):  # it had not come in yet
                (folder / name).unlink()
        _prune(folder, made)
        (staging / list_name).touch()  # should this be killed in turn, the next one goes on below
    for path in sorted(trash.rglob("*")):
        name = path.relative_to(trash)
        if not _is_folder(path):
            refuse_links(folder, [name.parent])
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, folder / name)
    trash.rename(staging / _MOVED)


def _refuse_collisions(folder: Path, names: set[Path]) -> None:
    foreign = sorted(name for name in names if os.path.lexists(folder / name))
    if foreign:
        raise VizcnnError(
            f"{str(folder / foreign[0])!r} is in the way and not vizcnn's: move it, or choose "
            "another --out"
        )


def read_list(file: Path) -> list[Path]:
    """Give the files of an earlier run that are still there."""
    folder = file.parent
    return [name for name in _read_names(file) if os.path.lexists(folder / name)]


def _read_names(file: Path) -> list[Path]:
    """Read a list of files, without what it cannot have listed: it may have been tampered with."""
    try:
        names = json.loads(read_plain_file(file, "list", largest=_LARGEST_LIST))
    except (VizcnnError, ValueError, RecursionError):
        return []
    names = names if isinstance(names, list) else []
    paths = {Path(name) for name in names if isinstance(name, str) and "\0" not in name}
    return sorted(path for path in paths if _is_within(file.parent, path))


def _is_within(folder: Path, name: Path) -> bool:
    """Tell whether a name stands for a file in a folder, through no link."""
    if name.is_absolute() or ".." in name.parts:
        return False
    linked = any((folder / parent).is_symlink() for parent in name.parents if parent != Path())
    return not linked and not _is_folder(folder / name)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _prune(folder: Path, names: list[Path]) -> None:
    """Remove the folders of files that are gone, where nothing else is in them."""
    for parent in sorted({folder / up for name in names for up in name.parents[:-1]}, reverse=True):
        if _is_folder(parent) and not any(parent.iterdir()):
            parent.rmdir()
