"""Photos in folders: every file that looks like a photo is listed, or named as left out."""

import errno
import heapq
import os
import stat
import warnings
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from posixpath import splitext

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
        path: The folder.
        names: Names, within the folder, of files that count as photos, with ``/`` between their
            parts, in no order: there may be a million.
        sizes: Bytes of each; 0 of a link that leads nowhere, which reading then tells.
        left_out: Names, within the folder, of files that look like photos but are not read, of
            links that lead nowhere, of folders that cannot be read, and of those that links lead to
            once more.
        others: Names of all other files.
    """

    path: PurePath
    names: Sequence[str]
    sizes: Sequence[int]
    left_out: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def photos(self) -> tuple[Path, ...]:
        """Files that count as photos, sorted by path."""
        by_path = sorted(self.names, key=lambda name: name.split("/"))
        return tuple(Path(self.path, name) for name in by_path)

    def locate(self, number: int) -> Path:
        """Give the file of a photo."""
        return Path(self.path, self.names[number])

    def take(self, numbers: Sequence[int]) -> "FolderListing":
        """Give some of the photos alone, as another process needs them."""
        names = [self.names[number] for number in numbers]
        sizes = array("q", (self.sizes[number] for number in numbers))
        return replace(self, names=names, sizes=sizes, left_out=(), others=())

    def explain_none(self) -> str:
        """Say what there is instead of photos."""
        return describe_others([*self.left_out, *self.others])


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
    names: list[str] = []
    sizes = array("q")
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
            seen[itself] = name
            inside = "" if place == folder else f"{name.as_posix()}/"
            for entry in _scan(place):
                label, held, reason = f"{inside}{entry.name}", None, ""
                try:
                    held = entry.stat()
                except OSError as error:
                    leads_nowhere = error.errno in (errno.ENOENT, errno.ELOOP)
                    reason = (
                        " (a link that leads nowhere)" if leads_nowhere else " (cannot be read)"
                    )
                suffix = splitext(entry.name)[1].lower()
                if held and stat.S_ISDIR(held.st_mode):
                    heapq.heappush(waiting, (links + entry.is_symlink(), Path(entry.path)))
                elif suffix in PHOTO_SUFFIXES:
                    names.append(label)
                    sizes.append(held.st_size if held else 0)
                elif reason or suffix in OTHER_SUFFIXES or _looks_like_photo(Path(entry.path)):
                    left_out.append(label + reason)
                else:
                    others.append(label)
        except OSError as error:
            if place == folder:
                reason = error.strerror or type(error).__name__
                raise ImageError(f"the folder {quote(folder)} cannot be read ({reason})") from None
            left_out.append(f"{name} (cannot be read)")
            continue
    return FolderListing(folder, names, sizes, tuple(sorted(left_out)), tuple(sorted(others)))


def _scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Give what is not hidden in a folder, one by one: there may be a million."""
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith("."))


def _looks_like_photo(path: Path) -> bool:
    try:
        with open_plain_file(path) as file:
            return recognise_photo(file.read(SIGNATURE)) is not None
    except (VizcnnError, OSError):  # a pipe, an empty file, one that may not be read
        return False


def warn_left_out(folder: PurePath, names: Sequence[str]) -> None:
    """Warn of files that look like photos but are not read: their number and the first names."""
    if names:
        warnings.warn(
            f"{_count(names, len(names))} in {quote(folder)} left out: photos end in "
            f"{join_or(PHOTO_SUFFIXES)}",
            PhotoWarning,
            stacklevel=3,
        )


def describe_others(names: Sequence[str], count: int | None = None) -> str:
    """Say what there is where no photos are.

    Args:
        names: Names of files, at least the first ones.
        count: How many there are, if not all are named.
    """
    count = len(names) if count is None else count
    return f"only {_count(names, count)}" if count else "which is empty"


def _count(names: Sequence[str], count: int) -> str:
    shown = ", ".join(quote(name, LONGEST_NAME) for name in names[:SHOWN_NAMES])
    more = f" and {count - SHOWN_NAMES} more" if count > SHOWN_NAMES else ""
    return f"{count} other file{'s' if count > 1 else ''} ({shown}{more})"
