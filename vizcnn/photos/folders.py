"""Photos in folders: every file that looks like a photo is listed, or named as left out."""

import errno
import heapq
import stat
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vizcnn.basics.errors import ImageError, PhotoWarning, VizcnnError, quote
from vizcnn.basics.files import open_plain_file
from vizcnn.photos.formats import (
    OTHER_SUFFIXES,
    PHOTO_SUFFIXES,
    SIGNATURE,
    join_or,
    recognise_photo,
)

SHOWN_NAMES = 10
"""Files that are named in a summary."""

LONGEST_NAME = 200
"""Characters of each."""


@dataclass(frozen=True)
class FolderListing:
    """What a folder holds.

    Attributes:
        photos: Files that count as photos, sorted by path.
        left_out: Names, within the folder, of files that look like photos but are not read, of
            links that lead nowhere, of folders that cannot be read, and of those that links lead to
            once more.
        others: Names of all other files.
    """

    photos: tuple[Path, ...]
    left_out: tuple[str, ...]
    others: tuple[str, ...]

    def explain_none(self) -> str:
        """Say what there is instead of photos."""
        names = [*self.left_out, *self.others]
        return f"only {_count(names)}" if names else "which is empty"


def survey_folder(folder: Path) -> FolderListing:
    """List the photos in a folder and in the folders in it.

    A file counts by its suffix (:data:`~vizcnn.photos.formats.PHOTO_SUFFIXES`, in small or capital
    letters). Links are followed, as torchvision's ImageFolder does, but no folder is read twice, as
    links may lead to it in any number of ways: it counts under its own name, or else the first of
    those with the fewest links. Hidden files and folders do not count. All other files are looked
    into: what holds a photo under another name is named among those left out.

    Args:
        folder: An existing folder.

    Raises:
        ImageError: If the folder may not be read.
    """
    photos: list[Path] = []
    left_out: list[str] = []
    others: list[str] = []
    seen: dict[tuple[int, int], Path] = {}
    waiting = [(0, folder)]
    while waiting:
        links, place = heapq.heappop(waiting)
        name = place.relative_to(folder)
        try:
            facts = place.stat()
            itself = (facts.st_dev, facts.st_ino)
            if links and itself in seen:
                left_out.append(f"{name} (the folder {seen[itself]} once more)")
                continue
            entries = list(place.iterdir())
        except OSError as error:
            if place == folder:
                reason = error.strerror or type(error).__name__
                raise ImageError(f"the folder {quote(folder)} cannot be read ({reason})") from None
            left_out.append(f"{name} (cannot be read)")
            continue
        seen[itself] = name
        for path in entries:
            if path.name.startswith("."):
                continue
            label, mode, reason = str(path.relative_to(folder)), 0, ""
            try:
                mode = path.stat().st_mode
            except OSError as error:
                leads_nowhere = error.errno in (errno.ENOENT, errno.ELOOP)
                reason = " (a link that leads nowhere)" if leads_nowhere else " (cannot be read)"
            if stat.S_ISDIR(mode):
                heapq.heappush(waiting, (links + path.is_symlink(), path))
            elif path.suffix.lower() in PHOTO_SUFFIXES:
                photos.append(path)
            elif reason or path.suffix.lower() in OTHER_SUFFIXES or _looks_like_photo(path):
                left_out.append(label + reason)
            else:
                others.append(label)
    return FolderListing(tuple(sorted(photos)), tuple(sorted(left_out)), tuple(sorted(others)))


def _looks_like_photo(path: Path) -> bool:
    try:
        with open_plain_file(path) as file:
            return recognise_photo(file.read(SIGNATURE)) is not None
    except (VizcnnError, OSError):  # a pipe, an empty file, one that may not be read
        return False


def warn_left_out(folder: Path, names: Sequence[str]) -> None:
    """Warn of files that look like photos but are not read: their number and the first names."""
    if names:
        warnings.warn(
            f"{_count(names)} in {quote(folder)} left out: photos end in {join_or(PHOTO_SUFFIXES)}",
            PhotoWarning,
            stacklevel=3,
        )


def _count(names: Sequence[str]) -> str:
    shown = ", ".join(quote(name, LONGEST_NAME) for name in names[:SHOWN_NAMES])
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return f"{len(names)} other file{'s' if len(names) > 1 else ''} ({shown}{more})"


def find_photos(paths: Iterable[Path]) -> list[Path]:
    """List the photos that paths stand for.

    A file stands for itself, whatever its name, and so does a path that does not exist or a
    folder without photos: :func:`~vizcnn.photos.images.read_photo` says what is wrong with it, and
    the others of a batch still go through. Nothing is listed twice. A :class:`PhotoWarning` tells
    what of a folder looks like a photo and is not read.

    Args:
        paths: Files and folders.

    Returns:
        The files in the given order, each folder replaced by its photos, sorted by path.

    Example:
        >>> find_photos([Path("cat.jpg"), Path("cat.jpg")])
        [PosixPath('cat.jpg')]
    """
    found: dict[Path, None] = {}
    for path in paths:
        expanded: Sequence[Path] = ()
        if path.is_dir():
            held = survey_folder(path)
            expanded = held.photos
            if expanded:
                warn_left_out(path, held.left_out)
        found.update(dict.fromkeys(expanded or [path]))
    return list(found)
