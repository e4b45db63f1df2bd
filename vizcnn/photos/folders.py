"""Photos in folders: every file that looks like a photo is listed, or named as left out."""

import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vizcnn.basics.errors import ImageError, PhotoWarning
from vizcnn.photos.formats import (
    OTHER_SUFFIXES,
    PHOTO_SUFFIXES,
    SIGNATURE,
    join_or,
    recognise_photo,
)

SHOWN_NAMES = 10
"""Files that are named in a summary."""

_TRIED = 20
"""Files of one unusual suffix that are looked into before the others are taken to be alike."""


@dataclass(frozen=True)
class FolderListing:
    """What a folder holds.

    Attributes:
        photos: Files that count as photos, sorted by path.
        left_out: Names, within the folder, of files that look like photos but are not read, of
            links that lead nowhere and of folders that cannot be read.
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
    letters). Links are followed, as torchvision's ImageFolder does; a folder inside itself is not
    entered again. Hidden files and folders do not count.

    Args:
        folder: An existing folder.

    Raises:
        ImageError: If the folder may not be read.
    """
    photos: list[Path] = []
    left_out: list[str] = []
    others: dict[str, list[Path]] = defaultdict(list)
    waiting = [(folder, frozenset[tuple[int, int]]())]
    while waiting:
        place, above = waiting.pop()
        try:
            facts = place.stat()
            itself = (facts.st_dev, facts.st_ino)
            entries = [] if itself in above else list(place.iterdir())
        except OSError as error:
            if place == folder:
                reason = error.strerror or type(error).__name__
                raise ImageError(f"the folder {str(folder)!r} cannot be read ({reason})") from None
            left_out.append(f"{place.relative_to(folder)} (cannot be read)")
            continue
        for path in entries:
            suffix = path.suffix.lower()
            if path.name.startswith("."):
                continue
            if path.is_dir():
                waiting.append((path, above | {itself}))
            elif suffix in PHOTO_SUFFIXES:
                photos.append(path)
            elif path.is_file():
                others[suffix].append(path)
            elif path.is_symlink():
                left_out.append(f"{path.relative_to(folder)} (a link that leads nowhere)")
    alike = [
        path for suffix, paths in others.items() for path in _find_alike(suffix, sorted(paths))
    ]
    rest = {path for paths in others.values() for path in paths}.difference(alike)
    left_out += [str(path.relative_to(folder)) for path in alike]
    return FolderListing(
        tuple(sorted(photos)),
        tuple(sorted(left_out)),
        tuple(sorted(str(path.relative_to(folder)) for path in rest)),
    )


def _find_alike(suffix: str, paths: list[Path]) -> list[Path]:
    """Choose what looks like a photo, by name or by first bytes, of files of one suffix."""
    if suffix in OTHER_SUFFIXES:
        return list(paths)
    tried = [path for path in paths[:_TRIED] if _looks_like_photo(path)]
    return tried + [path for path in paths[_TRIED:] if tried and _looks_like_photo(path)]


def _looks_like_photo(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return recognise_photo(file.read(SIGNATURE)) is not None
    except OSError:
        return False


def warn_left_out(folder: Path, names: Sequence[str]) -> None:
    """Warn of files that look like photos but are not read: their number and the first names."""
    if names:
        warnings.warn(
            f"{_count(names)} in {str(folder)!r} left out: photos end in {join_or(PHOTO_SUFFIXES)}",
            PhotoWarning,
            stacklevel=3,
        )


def _count(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:SHOWN_NAMES])
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
