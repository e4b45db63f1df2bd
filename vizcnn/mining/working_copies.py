"""Indexes in object stores: worked on in files of this machine, and sent back as a whole."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any, TypeVar

from vizcnn.basics.errors import DataError, VizcnnError, quote
from vizcnn.basics.remote import (
    RemotePath,
    StoreError,
    ask_store,
    fetch_object,
    list_objects,
    remove_object,
    send_object,
)
from vizcnn.mining.maxima import name_maxima

IndexPlace = Path | RemotePath
"""Where an index lies."""

Place = TypeVar("Place", bound=PurePath)

LEAST_PARTS = 3
"""Of the place of an index: protocol, bucket and name."""

_Look = tuple[int, int] | None


@contextmanager
def work_on(place: IndexPlace) -> Iterator[Path]:
    """Give a file in which an index can be read and written, and its maxima beside it.

    That is the index itself where it is a file. One in an object store is fetched, and sent back at
    the end, after an exception too, so that no work is lost: whole, and only if it has changed.
    Nothing keeps two runs from one object: the last one to send it wins.

    Args:
        place: Where it is, or shall be.

    Yields:
        The file, which need not exist.

    Raises:
        DataError: If it is a bucket, or the store cannot be reached.
    """
    if isinstance(place, Path):
        yield place
        return
    _require_name(place)
    with tempfile.TemporaryDirectory(prefix="vizcnn-") as folder:
        copy = Path(folder) / place.name
        # the maxima first and last in: an index never tells of more than they hold
        pairs = [(name_maxima(copy), name_place_of_maxima(place)), (copy, place)]
        before = {}
        for file, home in reversed(pairs):
            fetch_object(home, file)
            before[file] = _look(file)
        try:
            with _name_as({copy: place}):
                yield copy
        finally:
            for file, home in pairs:
                now = _look(file)
                if now is None and before[file] is not None:
                    remove_object(home)
                elif now != before[file]:
                    send_object(file, home)


@contextmanager
def read_copies(places: Sequence[IndexPlace]) -> Iterator[list[Path]]:
    """Give files of indexes that are only read; those in object stores are fetched.

    Raises:
        DataError: If one is a bucket, or a store cannot be reached.
    """
    with ExitStack() as stack:
        files, copies = [], {}
        for place in places:
            if isinstance(place, Path):
                files.append(place)
                continue
            _require_name(place)
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vizcnn-"))
            copy = Path(folder) / place.name
            if fetch_object(place, copy):
                fetch_object(name_place_of_maxima(place), name_maxima(copy))
            files.append(copy)
            copies[copy] = place
        with _name_as(copies):
            yield files


def _require_name(place: RemotePath) -> None:
    if len(place.parts) < LEAST_PARTS:
        raise DataError(f"{quote(place)} is a bucket; needed: an index in it, as {place}/NAME")


def _look(file: Path) -> _Look:
    """Tell one state of a file from another; None if it is not there."""
    try:
        facts = file.stat()
    except FileNotFoundError:
        return None
    return facts.st_mtime_ns, facts.st_size


@contextmanager
def _name_as(copies: Mapping[Path, RemotePath]) -> Iterator[None]:
    """Let errors name the places that copies are of."""
    try:
        yield
    except VizcnnError as error:
        text = str(error)
        for copy, place in copies.items():
            text = text.replace(str(copy), str(place))
        error.args = (text, *error.args[1:])
        raise


def name_place_of_maxima(place: RemotePath) -> RemotePath:
    """Name the object of the maxima that belongs to an index."""
    return place.with_name(name_maxima(Path(place.name)).name)


def list_names(folder: IndexPlace) -> list[str]:
    """Name the files of a folder; none of one that is not there.

    Raises:
        StoreError: If the store cannot be reached.
    """
    if isinstance(folder, RemotePath):
        return list_objects(folder)
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def remove_empty_folder(folder: IndexPlace) -> None:
    """Remove a folder in which nothing is left; one in a store, if the store will."""
    if isinstance(folder, Path):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        return

    def remove(store: Any, name: str) -> None:
        if store.isdir(name) and not store.ls(name, detail=False):
            store.rmdir(name)

    with suppress(StoreError, FileNotFoundError):  # it harms nobody
        ask_store(folder, remove)


def remove_place(place: IndexPlace) -> None:
    """Remove a file or an object, if it is there.

    Raises:
        StoreError: If the store cannot be reached.
    """
    if isinstance(place, RemotePath):
        remove_object(place)
    else:
        place.unlink(missing_ok=True)
