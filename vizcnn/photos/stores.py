"""Photos where they lie: in folders, lists, tar archives and tables, each listed in one way."""

import copy
import glob
import os
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path, PurePath
from typing import Protocol

from vizcnn.basics.errors import DataError, quote
from vizcnn.basics.files import open_plain_file, read_plain_file
from vizcnn.basics.remote import RemotePath, is_url, measure_object
from vizcnn.photos.arrow_tables import TABLE_SUFFIXES, TablePhotos
from vizcnn.photos.folders import FolderListing, survey_folder, warn_left_out
from vizcnn.photos.formats import SIGNATURE, recognise_photo
from vizcnn.photos.remote_photos import (
    find_object,
    list_object,
    locate_object,
    match_objects,
    refuse_kind,
    survey_store,
)
from vizcnn.photos.stored import PhotoFile
from vizcnn.photos.tars import COMPRESSED_SUFFIXES, TAR_SUFFIX, TarPhotos, refuse_compressed

LIST_SUFFIX = ".txt"
"""Of a file that names photos."""

_CONTAINERS = (TAR_SUFFIX, *COMPRESSED_SUFFIXES, *TABLE_SUFFIXES)
_LARGEST_LIST = 1 << 30
_MOST_FILES = 100_000
"""Files that a pattern may stand for."""


class PhotoStore(Protocol):
    """Photos that lie together, by number."""

    @property
    def path(self) -> PurePath:
        """Where they lie."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Their names there."""
        ...

    @property
    def sizes(self) -> Sequence[int]:
        """Bytes of each."""
        ...

    @property
    def left_out(self) -> Sequence[str]:
        """Names of what looks like a photo and is not read."""
        ...

    def locate(self, number: int) -> PhotoFile:
        """Say where a photo lies."""
        ...

    def take(self, numbers: Sequence[int]) -> "PhotoStore":
        """Give some of the photos alone, in that order: little, so that it can be sent."""
        ...

    def explain_none(self) -> str:
        """Say what there is instead of photos."""
        ...


class ListedPhotos:
    """The photos that a list names, a line each; a path is relative to the list's folder.

    Args:
        path: The list, a text file; lines that are empty do not count.

    Raises:
        DataError: If it is no text, or cannot be read.
    """

    left_out: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        content = read_plain_file(path, "list of photos", DataError, largest=_LARGEST_LIST)
        if b"\0" in content:
            raise DataError(f"{quote(path)} is no text; needed: a list with a photo in each line")
        lines = content.decode("utf-8-sig", errors="surrogateescape").split("\n")
        named = (line.rstrip("\r").removeprefix("./") for line in lines)
        self.names = tuple(dict.fromkeys(name for name in named if name.strip()))
        if urls := list(filter(is_url, self.names)):
            # not repeated: it may have a password
            raise DataError(
                f"{quote(path)} names {len(urls)} URLs; needed: paths. Give URLs of folders, or "
                "patterns of them, in place of the list"
            )
        self.sizes = array("q", (_measure(path.parent / name) for name in self.names))

    def locate(self, number: int) -> Path:
        """Give the file of a photo."""
        return self.path.parent / self.names[number]

    def take(self, numbers: Sequence[int]) -> "ListedPhotos":
        """Give some of the photos alone, as another process needs them."""
        some = copy.copy(self)
        some.names = tuple(self.names[number] for number in numbers)
        some.sizes = array("q", (self.sizes[number] for number in numbers))
        return some

    def explain_none(self) -> str:
        """Say what there is instead of photos."""
        return "which is empty"


class SinglePhoto:
    """A file that stands for itself, under its own name.

    Args:
        path: The file.
    """

    left_out: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path, self.names, self.sizes = path, (path.name,), (_measure(path),)

    def locate(self, number: int) -> Path:
        """Give the file."""
        return self.path

    def take(self, numbers: Sequence[int]) -> "SinglePhoto":
        """Give the photo itself: there is one."""
        return self

    def explain_none(self) -> str:
        """Say what there is instead of photos: nothing, there is one."""
        return ""


def _measure(file: Path) -> int:
    """Give a file's bytes; 0 of one that is missing, which reading then tells."""
    try:
        return file.stat().st_size
    except (OSError, ValueError):
        return 0


def open_stores(path: PurePath) -> list[PhotoStore]:
    """Open what a path stands for.

    Args:
        path: A folder of photos; a folder of archives or tables, if it holds no photos; a list
            (``.txt``); a tar archive; a table (``.parquet``, ``.arrow``); a pattern of such names,
            with ``{000..012}``, ``{a,b}``, ``*`` and ``?``; or a photo. In an object store
            (:class:`~vizcnn.basics.remote.RemotePath`), all of these but lists and tables.

    Raises:
        DataError: If there is no such file, or it is damaged.
        ImageError: If a folder may not be read.
    """
    return [store for file in _expand(path) for store in _open(file)]


def _open(path: Path | RemotePath) -> list[PhotoStore]:
    if isinstance(path, RemotePath):
        return _open_remote(path)
    if path.is_dir():
        return _open_folder(path, survey_folder(path))
    name = path.name.lower()
    if name.endswith(COMPRESSED_SUFFIXES):
        refuse_compressed(path)
    if name.endswith(TAR_SUFFIX):
        return [TarPhotos(path)]
    if name.endswith(TABLE_SUFFIXES):
        return [TablePhotos(path)]
    if name.endswith(LIST_SUFFIX) and not _is_photo(path):
        return [ListedPhotos(path)]
    return [SinglePhoto(path)]


def _open_folder(path: Path | RemotePath, held: FolderListing) -> list[PhotoStore]:
    inside = [name for name in held.others if name.lower().endswith(_CONTAINERS)]
    if not held.names:
        return [store for name in inside for store in _open(path / name)] or [held]
    beside = (f"{name} (beside photos: give it by itself)" for name in inside)
    return [replace(held, left_out=tuple(sorted([*held.left_out, *beside])))]


def _open_remote(path: RemotePath) -> list[PhotoStore]:
    try:
        size = measure_object(path)
    except FileNotFoundError:
        raise DataError(f"no file {quote(path)}: check the path") from None
    if size is None:
        return _open_folder(path, survey_store(path))
    name = path.name.lower()
    if name.endswith(COMPRESSED_SUFFIXES):
        refuse_compressed(path)
    if name.endswith(TAR_SUFFIX):
        return [TarPhotos(path)]
    if name.endswith((*TABLE_SUFFIXES, LIST_SUFFIX)):
        raise refuse_kind(path, "list" if name.endswith(LIST_SUFFIX) else "table")
    return [list_object(path, size)]


def _is_photo(path: Path) -> bool:
    with open_plain_file(path, "list of photos", DataError) as file:
        return recognise_photo(file.read(SIGNATURE)) is not None


def _expand(given: PurePath) -> list[Path | RemotePath]:
    """List the files that a path stands for, in order."""
    path = given if isinstance(given, RemotePath) else Path(given)
    if _exists(path):
        return [path]
    text = str(path)
    if not _is_pattern(text):
        raise DataError(f"no folder {quote(path)}: check the path")
    found: list[Path | RemotePath] = []
    for written in expand_braces(text):
        name = RemotePath(written) if isinstance(path, RemotePath) else Path(written)
        if re.search("[*?]", str(name)):
            found += match_objects(name) if isinstance(name, RemotePath) else _match(str(name))
        elif _exists(name):
            found.append(name)
        else:
            raise DataError(f"no file {quote(name)}, for which {quote(text)} stands as well")
    if not found:
        raise DataError(f"no file has a name like {quote(text)}: check the pattern")
    return found


def _match(pattern: str) -> list[Path]:
    """List the files that a pattern of * and ? stands for; brackets are letters."""
    found = glob.glob(pattern.replace("[", "[[]"))  # noqa: PTH207  # of absolute paths, too
    return [Path(name) for name in sorted(found)]


def _exists(path: Path | RemotePath) -> bool:
    """Tell whether there is something; not of a name that is too long, or may not be looked at."""
    if isinstance(path, RemotePath):
        return find_object(path)
    return os.path.exists(path)  # noqa: PTH110  # which raises nothing


def _is_pattern(text: str) -> bool:
    return re.search("[*?{]", text) is not None


def expand_braces(text: str) -> list[str]:
    """Write out what braces stand for, as a shell does.

    Raises:
        DataError: If that is too much.

    Example:
        >>> expand_braces("train-{008..010}.tar"), expand_braces("{a,b}.tar")
        (['train-008.tar', 'train-009.tar', 'train-010.tar'], ['a.tar', 'b.tar'])
    """
    parts = re.split(r"(\{[^{}]*\})", text)
    choices = [_list_choices(part) for part in parts]
    count = 1
    for some in choices:
        count *= len(some)
        if count > _MOST_FILES:
            raise DataError(f"{quote(text)} stands for more than {_MOST_FILES:,} files")
    return ["".join(chosen) for chosen in product(*choices)]


def _list_choices(part: str) -> list[str]:
    found = re.fullmatch(r"\{([0-9]{1,9})\.\.([0-9]{1,9})\}", part)
    if found:
        first, last = int(found[1]), int(found[2])
        if last - first >= _MOST_FILES:
            raise DataError(f"{quote(part)} stands for more than {_MOST_FILES:,} files")
        width = len(found[1]) if found[1].startswith("0") or found[2].startswith("0") else 1
        return [f"{number:0{width}d}" for number in range(first, last + 1)]
    if part.startswith("{") and "," in part:
        return part[1:-1].split(",")
    return [part]


def find_photos(paths: Iterable[PurePath]) -> list[PhotoFile]:
    """List the photos that paths stand for.

    A photo stands for itself, whatever its name, and so does a path that does not exist or a
    folder without photos: :func:`~vizcnn.photos.images.read_photo` says what is wrong with it, and
    the others of a batch still go through. Nothing is listed twice. A :class:`PhotoWarning` tells
    what of a folder looks like a photo and is not read.

    Args:
        paths: Photos, and whatever else :func:`open_stores` takes.

    Returns:
        The photos in the given order, those of a folder sorted by path, those of an archive, a
        list or a table as they stand there.

    Raises:
        DataError: If an archive, a list or a table is damaged, or nothing is like a pattern.

    Example:
        >>> find_photos([Path("cat.jpg"), Path("cat.jpg")])
        [PosixPath('cat.jpg')]
    """
    return list(dict.fromkeys(photo for path in paths for photo in _find_photos(path)))


def _find_photos(given: PurePath) -> Iterator[PhotoFile]:
    path = given if isinstance(given, RemotePath) else Path(given)
    if not _exists(path) and not _is_pattern(str(path)):
        yield _locate(path)
        return
    for store in open_stores(path):
        if not store.names:
            yield _locate(store.path)
            continue
        warn_left_out(store.path, store.left_out)
        if isinstance(store, FolderListing):
            yield from store.photos
        else:
            yield from map(store.locate, range(len(store.names)))


def _locate(path: PurePath) -> PhotoFile:
    return locate_object(path) if isinstance(path, RemotePath) else Path(path)
