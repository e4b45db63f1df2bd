"""Photos in tar archives, such as the shards of a WebDataset: listed, and read where they lie."""

import copy
import tarfile
from array import array
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePath
from posixpath import splitext
from typing import IO

from vizcnn.basics.errors import DataError, ImageError, quote
from vizcnn.basics.files import open_plain_file
from vizcnn.basics.remote import RemotePath, ask_store, explain_store
from vizcnn.photos.folders import SHOWN_NAMES, describe_others
from vizcnn.photos.formats import OTHER_SUFFIXES, PHOTO_SUFFIXES, SIGNATURE, recognise_photo
from vizcnn.photos.stored import LARGEST_STORED, StoredPhoto

TAR_SUFFIX = ".tar"

COMPRESSED_SUFFIXES = (".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
"""How archives end in which nothing is found without unpacking all that lies before it."""

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
"""How files of gzip, bzip2, xz and Zstandard begin, whatever their names."""

_BLOCK = 512
_LARGEST_HEADER = 1 << 20
"""Bytes of what an archive may say of a member beside its 512 bytes: a long name, attributes."""


class TarPhotos:
    """The photos of a tar archive; nothing of it is unpacked.

    What counts as a photo, and what is left out, is as in a folder
    (:func:`~vizcnn.photos.folders.survey_folder`), so that the archive of a folder has the photos
    of the folder under the same names: they are relative to the top of the archive, or, where all
    photos of ``photos.tar`` lie in ``photos/``, to that. Links are not followed.

    Args:
        path: The archive, not compressed.

    Attributes:
        path: The archive.
        names: Names of the photos, in the order of the archive.
        sizes: Bytes of each.
        left_out: Names of what looks like a photo and is not read.

    Raises:
        DataError: If it is no such archive, or cut off or damaged.
    """

    def __init__(self, path: Path | RemotePath) -> None:
        self.path = path
        self.names: tuple[str, ...] = ()
        self.sizes, self._offsets = array("q"), array("q")
        self.left_out: tuple[str, ...] = ()
        self._others: list[str] = []
        self._others_count = 0
        refuse_compressed(path)
        try:
            with _open_archive(path) as file:
                if file.read(_BLOCK).startswith(_COMPRESSED):
                    raise _refuse_compressed(path)
                file.seek(0)
                self._list(file)
        except (tarfile.TarError, OSError, ValueError) as error:
            if isinstance(path, RemotePath) and isinstance(error, OSError):
                raise explain_store(path, error) from None
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(
                f"{quote(path)} is no tar archive, or is cut off or damaged ({reason:.200}): make "
                "or copy it again"
            ) from None

    def locate(self, number: int) -> StoredPhoto:
        """Give a photo of the archive."""
        name, offset, size = self.names[number], self._offsets[number], self.sizes[number]
        # a photo that is sent to another process does not take the archive's list along
        return StoredPhoto(self.path, name, partial(_read_member, self.path, name, offset, size))

    def take(self, numbers: Sequence[int]) -> "TarPhotos":
        """Give some of the photos alone, as another process needs them."""
        some = copy.copy(self)
        some.names = tuple(self.names[number] for number in numbers)
        some.sizes = array("q", (self.sizes[number] for number in numbers))
        some._offsets = array("q", (self._offsets[number] for number in numbers))
        some.left_out, some._others, some._others_count = (), [], 0
        return some

    def explain_none(self) -> str:
        """Say what there is instead of photos."""
        count = len(self.left_out) + self._others_count
        return describe_others([*self.left_out, *self._others], count)

    def _list(self, file: IO[bytes]) -> None:
        names: list[str] = []
        left_out: list[str] = []
        archive = tarfile.TarFile(fileobj=_Headers(file))  # type: ignore[arg-type]
        while (member := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # it keeps all, of a kB each
            name = member.name.removeprefix("./")
            if member.isdir() or "/." in f"/{name}":
                continue
            suffix = splitext(name)[1].lower()
            if suffix in PHOTO_SUFFIXES and member.isreg() and member.sparse is None:
                names.append(name)
                self.sizes.append(member.size)
                self._offsets.append(member.offset_data)
            elif not member.isreg() or member.sparse is not None:
                left_out.append(f"{name} ({_name_kind(member)})")
            elif suffix in OTHER_SUFFIXES or _looks_like_photo(member, file):
                left_out.append(name)
            else:
                self._others_count += 1
                if len(self._others) < SHOWN_NAMES:
                    self._others.append(name)
        _require_end(file, archive.offset)
        home = f"{strip_suffix(self.path)}/"
        if names and all(name.startswith(home) for name in names):
            names = [name.removeprefix(home) for name in names]
            left_out = [name.removeprefix(home) for name in left_out]
        self.names, self.left_out = tuple(names), tuple(sorted(left_out))


def _open_archive(path: Path | RemotePath) -> IO[bytes]:
    if not isinstance(path, RemotePath):
        return open_plain_file(path, "archive", DataError)
    try:
        file: IO[bytes] = ask_store(path, lambda store, name: store.open(name, "rb"))
    except FileNotFoundError:
        raise DataError(f"no archive {quote(path)}: check the path") from None
    return file


def _read_member(path: Path | RemotePath, name: str, offset: int, size: int) -> bytes:
    """Read a member; the archive is opened anew, so that no process has to share a handle."""
    if size > LARGEST_STORED:
        raise ImageError(f"{quote(name)} has {size:,} bytes; needed: at most {LARGEST_STORED:,}")
    if isinstance(path, RemotePath):
        content = _read_stored(path, offset, size)
    else:
        with open_plain_file(path, "archive", ImageError) as file:
            file.seek(offset)
            content = file.read(size)
    if len(content) != size:
        raise ImageError(f"{quote(name)} is cut off in {quote(path)}: copy the archive again")
    return content


def _read_stored(path: RemotePath, offset: int, size: int) -> bytes:
    """Read a member of an archive in an object store, and nothing else of it."""
    try:
        return ask_store(
            path,
            lambda store, place: (
                bytes(store.cat_file(place, start=offset, end=offset + size)) if size else b""
            ),
        )
    except FileNotFoundError:
        raise ImageError(f"no archive {quote(path)}: check the path") from None


def strip_suffix(path: PurePath) -> str:
    """Name an archive without its ending.

    Example:
        >>> strip_suffix(Path("a/train.tar")), strip_suffix(Path("PHOTOS.TAR"))
        ('train', 'PHOTOS')
    """
    return path.name[: -len(TAR_SUFFIX)] if path.name.lower().endswith(TAR_SUFFIX) else path.name


class _Headers:
    """A file of which no more is read at a time than a header may have."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > _LARGEST_HEADER:
            raise tarfile.ReadError(f"a member's header claims {size:,} bytes")
        return self._file.read(size)


def _name_kind(member: tarfile.TarInfo) -> str:
    if member.islnk() or member.issym():
        return "a link, which is not followed in an archive"
    return "a file with holes" if member.isreg() else "no plain file"


def _looks_like_photo(member: tarfile.TarInfo, file: IO[bytes]) -> bool:
    if not member.size:
        return False
    file.seek(member.offset_data)
    return recognise_photo(file.read(min(SIGNATURE, member.size))) is not None


def _require_end(file: IO[bytes], offset: int) -> None:
    """Make sure that an archive ends where tarfile does: it takes rubbish for the end.

    Raises:
        ValueError: If something else comes there.
    """
    file.seek(offset)
    rest = file.read(_BLOCK)
    if rest.strip(b"\0") or len(rest) not in (0, _BLOCK):
        raise ValueError(f"no header at byte {offset:,}")


def refuse_compressed(path: PurePath) -> None:
    """Refuse an archive that is compressed, by its name.

    Raises:
        DataError: If it is.
    """
    if path.name.lower().endswith(COMPRESSED_SUFFIXES):
        raise _refuse_compressed(path)


def _refuse_compressed(path: PurePath) -> DataError:
    return DataError(
        f"{quote(path)} is compressed, so that no photo of it can be found by itself: unpack it, "
        "or make a plain .tar of it"
    )
