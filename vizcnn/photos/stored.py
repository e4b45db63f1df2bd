"""A photo that is no file of its own: a member of an archive, or a row of a table."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath

LARGEST_STORED = 1 << 30
"""Bytes of the largest photo that is taken out of an archive or a table."""


@dataclass(frozen=True)
class StoredPhoto:
    """A photo in an archive or a table.

    Attributes:
        container: The file that it lies in.
        member: What it is called there.
        read: Gives its bytes; from any process and thread.

    Example:
        >>> photo = StoredPhoto(Path("train-000.tar"), "cats/1.jpg", lambda: b"...")
        >>> photo.name, str(photo)
        ('1.jpg', 'train-000.tar: cats/1.jpg')
    """

    container: PurePath
    member: str
    read: Callable[[], bytes] = field(compare=False, repr=False)

    @property
    def name(self) -> str:
        """Its name without folders, as of a path."""
        return PurePosixPath(self.member).name

    def __str__(self) -> str:
        """Name the container and the member, for manifests and messages."""
        return f"{self.container}: {self.member}"


PhotoFile = Path | StoredPhoto
"""Where a photo lies."""
