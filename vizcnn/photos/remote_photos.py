"""Photos in object stores, through fsspec: folders are listed, and each photo is read by itself."""

from array import array
from dataclasses import dataclass
from functools import partial
from posixpath import splitext
from typing import Any

from vizcnn.basics.errors import DataError, ImageError, quote
from vizcnn.basics.remote import RemotePath, ask_store, measure_object
from vizcnn.photos.folders import FolderListing
from vizcnn.photos.formats import OTHER_SUFFIXES, PHOTO_SUFFIXES
from vizcnn.photos.stored import LARGEST_STORED, StoredPhoto


@dataclass(frozen=True)
class RemotePhoto(StoredPhoto):
    """A photo that is an object of its own in a store; its container is a folder there."""

    @property
    def path(self) -> RemotePath:
        """Where it lies."""
        return RemotePath(str(self.container), self.member)

    def __str__(self) -> str:
        """Name it as a URL."""
        return str(self.path)


@dataclass(frozen=True)
class RemoteListing(FolderListing):
    """What a folder in a store holds; as of a folder on a disk, and read from the store."""

    def locate(self, number: int) -> RemotePhoto:  # type: ignore[override]
        """Give a photo."""
        name = self.names[number]
        place = RemotePath(str(self.path))
        return RemotePhoto(place, name, partial(read_object, place, name, self.sizes[number]))

    @property
    def photos(self) -> tuple[RemotePhoto, ...]:  # type: ignore[override]
        """The photos, sorted by path."""
        order = sorted(range(len(self.names)), key=lambda n: self.names[n].split("/"))
        return tuple(map(self.locate, order))


def survey_store(folder: RemotePath) -> RemoteListing:
    """List the photos in a folder of a store and in the folders in it.

    As :func:`~vizcnn.photos.folders.survey_folder`, but that no file is looked into: one that is no
    photo by its name is none.

    Raises:
        StoreError: If the store cannot be reached.
    """
    names: list[str] = []
    sizes = array("q")
    left_out: list[str] = []
    others: list[str] = []
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        for facts in _list(folder, inside):
            path = str(facts["name"])
            last = path.rstrip("/").rsplit("/", 1)[-1]
            if not last or last.startswith("."):
                continue
            label, suffix = f"{inside}{last}", splitext(last)[1].lower()
            if facts["type"] == "directory":
                waiting.append(f"{label}/")
            elif path.endswith("/"):  # what some programs leave to make a folder show
                continue
            elif suffix in PHOTO_SUFFIXES:
                names.append(label)
                sizes.append(int(facts["size"] or 0))
            elif suffix in OTHER_SUFFIXES:
                left_out.append(label)
            else:
                others.append(label)
    return RemoteListing(folder, names, sizes, tuple(sorted(left_out)), tuple(sorted(others)))


def _list(folder: RemotePath, inside: str) -> list[dict[str, Any]]:
    def ask(store: Any, name: str) -> list[dict[str, Any]]:
        place = f"{name.rstrip('/')}/{inside}".rstrip("/")
        found: list[dict[str, Any]] = store.ls(place, detail=True)
        return [facts for facts in found if str(facts["name"]).strip("/") != place.strip("/")]

    try:
        return ask_store(folder, ask)
    except FileNotFoundError:  # it went while it was looked at
        return []


def locate_object(place: RemotePath) -> RemotePhoto:
    """Give a photo by its place, whether it is there or not: reading it tells."""
    return RemotePhoto(place.parent, place.name, partial(read_object, place.parent, place.name))


def list_object(place: RemotePath, size: int) -> RemoteListing:
    """Give a photo that stands for itself, under its own name."""
    return RemoteListing(place.parent, [place.name], array("q", [size]), (), ())


def read_object(folder: RemotePath, name: str, size: int | None = None) -> bytes:
    """Read a photo whole; ``size`` is what it was listed with, if it was.

    Raises:
        ImageError: If it is missing, or too large.
        StoreError: If the store cannot be reached: that is no fault of the photo, and a run should
            not go on without it.
    """
    place = RemotePath(str(folder), name)
    missing = ImageError(f"no file {name!r}: check the path")
    try:
        size = measure_object(place) if size is None else size
        if size is None:
            raise ImageError(f"{name!r} is a folder, not a photo")
        content = b""
        if size:  # some stores have no answer to a part of nothing
            content = ask_store(
                folder,
                lambda store, root: bytes(
                    store.cat_file(f"{root.rstrip('/')}/{name}", start=0, end=LARGEST_STORED + 1)
                ),
            )
    except FileNotFoundError:
        raise missing from None
    size = max(size, len(content))
    if size > LARGEST_STORED:
        raise ImageError(f"{name!r} has {size:,} bytes; needed: at most {LARGEST_STORED:,}")
    return content


def find_object(place: RemotePath) -> bool:
    """Tell whether there is an object or a folder.

    Raises:
        StoreError: If the store cannot be reached.
    """
    try:
        measure_object(place)
    except FileNotFoundError:
        return False
    return True


def match_objects(pattern: RemotePath) -> list[RemotePath]:
    """List what a pattern of ``*`` and ``?`` stands for, in order; brackets are letters.

    Raises:
        StoreError: If the store cannot be reached.
    """

    def match(store: Any, name: str) -> list[str]:
        found = sorted(store.glob(name.replace("[", "[[]")))
        before = str(pattern).removesuffix(name)  # that fsspec takes off: the protocol, a host
        if before == str(pattern):
            return [store.unstrip_protocol(one) for one in found]
        return [before + one for one in found]

    try:
        return list(map(RemotePath, ask_store(pattern, match)))
    except FileNotFoundError:
        return []


def refuse_kind(place: RemotePath, what: str) -> DataError:
    """Refuse what is not read out of a store."""
    return DataError(
        f"{quote(place)} is a {what}, which is not read in an object store: download it, or give "
        "folders, photos or .tar archives there"
    )
