"""Places in object stores, such as ``s3://bucket/photos``, which fsspec reads and writes."""

import re
import time
from collections.abc import Callable
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from vizcnn.basics.errors import DataError, VizcnnError, quote
from vizcnn.basics.memory import find_shortage

Result = TypeVar("Result")

ATTEMPTS = 3
"""How often a store is asked that does not answer."""

PAUSE = 0.5
"""Seconds before it is asked again; twice as many the next time."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)(::.*)?://")  # two letters: C:// is a drive of Windows
_ROOTED = ("local",)
"""Protocols whose URLs have no host."""
_WEB = ("http", "https")
_FINAL = (PermissionError, IsADirectoryError, NotADirectoryError, NotImplementedError)
"""What a store says that it will say again."""


class StoreError(DataError):
    """An object store that cannot be reached: no fault of what lies in it."""


class RemotePath(PurePosixPath):
    """A place in an object store.

    It has the parts, name and parent of a path, and no file: whatever would open it as one of this
    machine fails.

    Example:
        >>> place = RemotePath("s3://bucket/photos/")
        >>> place.name, str(place / "cat.jpg"), place.protocol
        ('photos', 's3://bucket/photos/cat.jpg', 's3')
    """

    __slots__ = ()

    @property
    def protocol(self) -> str:
        """The kind of the store."""
        return self.parts[0].removesuffix(":")

    def __str__(self) -> str:
        """Write it as a URL."""
        if not self.parts:  # what is above the protocol
            return "."
        slashes = "///" if self.protocol in _ROOTED else "//"
        return f"{self.protocol}:{slashes}{'/'.join(self.parts[1:])}"

    def __fspath__(self) -> str:
        """Refuse to be taken for a path of this machine.

        Raises:
            TypeError: Always.
        """
        raise TypeError(f"{quote(self)} is in an object store, and no file of this machine")


def is_url(text: str) -> bool:
    """Tell whether a text is a URL.

    Example:
        >>> is_url("s3://bucket"), is_url("photos/s3"), is_url("C://photos")
        (True, False, False)
    """
    return _URL.match(text) is not None


def read_place(text: str) -> Path | RemotePath:
    """Read a path or a URL; one of ``file://`` is a path.

    Nothing that gives access is taken in a URL: manifests and messages name places.

    Raises:
        DataError: If it is the URL of a web page, of several files in each other, or has a password
            or a query, which is not repeated then.

    Example:
        >>> read_place("file:///photos/a%20cat.jpg"), read_place("gs://bucket/x.tar").name
        (PosixPath('/photos/a cat.jpg'), 'x.tar')
    """
    if not is_url(text):
        return Path(text)
    protocol, _, rest = text.partition("://")
    protocol = protocol.lower()
    host = rest.split("/")[0]
    what = f"a URL of {protocol.split('::')[0]}://"
    if "::" in text or "\0" in text:
        raise DataError(f"{what} in another one is not taken: give the store's own, as s3://...")
    if re.search(r":(?![0-9]*$)", host) or re.search(r":.*@", host):
        raise DataError(
            f"{what} with a password is not taken, as manifests and messages name it: give it "
            "without, and the password where fsspec looks for it (its configuration, or the "
            "variables of the environment)"
        )
    if protocol in _WEB:
        raise DataError(
            f"{what} is of the web, where photos are not listed: download them, or give an object "
            "store, as s3://..., gs://... or az://..."
        )
    if re.search(r"\?[^/]*=", rest):
        raise DataError(
            f"{what} with a query, such as a signature, is not taken, as manifests and messages "
            "name it: give it without, and what opens the store where fsspec looks for it (its "
            "configuration, or the variables of the environment)"
        )
    if protocol == "file":
        parts = urlsplit(text.replace("?", "%3F").replace("#", "%23"))
        if parts.netloc not in ("", "localhost"):
            raise DataError(f"{quote(text, 200)} is of another machine: give file:///FOLDER")
        return Path(unquote(parts.path))
    if not rest.strip("/"):
        raise DataError(f"{quote(text)} names no bucket: give one, as {protocol}://BUCKET/photos")
    return RemotePath(f"{protocol}://{rest}")


def read_local_place(text: str, what: str = "path") -> Path:
    """Read a path, or a URL of ``file://``, where nothing else will do.

    Args:
        text: What was given.
        what: What is needed, for the error.

    Raises:
        DataError: If it is another URL.
    """
    place = read_place(text)
    if isinstance(place, RemotePath):
        raise DataError(
            f"{quote(place)} is in an object store; needed here: a {what} on this machine"
        )
    return place


def ask_store(
    place: RemotePath,
    work: Callable[[Any, str], Result],
) -> Result:
    """Do something in an object store; one that does not answer is asked again.

    The store is looked up for each call: fsspec keeps them, for each process its own, so that
    nothing of a network is carried from one process into another.

    Args:
        place: A place in it.
        work: Takes fsspec's file system, and what the place is called there.

    Returns:
        What the work gives.

    Raises:
        FileNotFoundError: If nothing is there.
        StoreError: If fsspec or what it needs is not installed, the store may not be read or
            written, or does not answer; one line.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return work(*_open_store(place))
        except (FileNotFoundError, VizcnnError):
            raise
        except Exception as error:  # of any store, and of any library beneath it
            if find_shortage(error):
                raise
            if attempt == ATTEMPTS or isinstance(error, _FINAL):
                raise explain_store(place, error) from None
        time.sleep(PAUSE * 2 ** (attempt - 1))
    raise AssertionError


def _open_store(place: RemotePath) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise StoreError(
            f"{quote(place)} is in an object store: pip install 'vizcnn[remote]'"
        ) from None
    try:
        # its listings are not kept: of a million photos they are gigabytes
        store, name = url_to_fs(str(place), use_listings_cache=False)
    except ImportError as error:
        raise StoreError(
            f"{quote(place)} needs a package of its own ({clean_words(error)})"
        ) from None
    except ValueError as error:
        raise StoreError(
            f"{quote(place)} is of no kind of store that fsspec knows ({clean_words(error)}): "
            "check the URL"
        ) from None
    return store, str(name)


def explain_store(place: PurePath, error: Exception) -> StoreError:
    """Say in one line what a store refused, without what opens it."""
    way_out = "check the network, then run again"
    if isinstance(error, PermissionError) or "Credential" in type(error).__name__:
        way_out = "check what the store lets you do, and that you are known to it"
    reason = f"{type(error).__name__}: {clean_words(error)}"
    return StoreError(f"{quote(place)} cannot be reached ({reason}): {way_out}")


def clean_words(error: Exception) -> str:
    r"""Give what an error says in one line, without passwords and signatures of URLs in it.

    Example:
        >>> clean_words(OSError("GET https://me:secret@store/a.jpg?X-Sign=12\nfailed"))
        'GET https://store/a.jpg failed'
    """
    text = " ".join(str(error).split())
    text = re.sub(r"(://)[^/\s]*@", r"\1", text)
    return re.sub(r"\?[^\s'\"]*", "", text)[:200]


def measure_object(place: RemotePath) -> int | None:
    """Give the bytes of an object; None of a folder.

    Raises:
        FileNotFoundError: If neither is there.
        StoreError: As :func:`ask_store`.
    """
    facts = ask_store(place, lambda store, name: store.info(name))
    return None if facts["type"] == "directory" else int(facts["size"] or 0)


def fetch_object(place: RemotePath, file: Path) -> bool:
    """Bring an object into a file; gives whether there is one.

    Raises:
        StoreError: As :func:`ask_store`.
    """
    try:
        ask_store(place, lambda store, name: store.get_file(name, str(file)))
    except FileNotFoundError:
        file.unlink(missing_ok=True)
        return False
    return True


def send_object(file: Path, place: RemotePath) -> None:
    """Write a file into a store, as a whole.

    Raises:
        StoreError: As :func:`ask_store`.
    """

    def send(store: Any, name: str) -> None:
        try:
            store.put_file(str(file), name)
        except FileNotFoundError:  # of a kind that has folders
            if getattr(store, "async_impl", False):  # of a network: that would make a bucket
                raise StoreError(
                    f"{quote(place)} cannot be written: there is no such bucket; check its name, "
                    "or make it first"
                ) from None
            store.makedirs(store._parent(name), exist_ok=True)
            store.put_file(str(file), name)

    ask_store(place, send)


def remove_object(place: RemotePath) -> None:
    """Remove an object, if it is there.

    Raises:
        StoreError: As :func:`ask_store`.
    """
    try:
        ask_store(place, lambda store, name: store.rm_file(name))
    except FileNotFoundError:
        return


def list_objects(place: RemotePath) -> list[str]:
    """Name the objects of a folder; none of one that is not there.

    Raises:
        StoreError: As :func:`ask_store`.
    """
    try:
        found = ask_store(place, lambda store, name: store.ls(name, detail=True))
    except (FileNotFoundError, NotADirectoryError):
        return []
    names = (PurePosixPath(facts["name"]).name for facts in found if facts["type"] == "file")
    return sorted(names)
