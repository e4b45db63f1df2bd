"""Photos that the page sends: dropped, pasted, or from a camera; held in memory, never on disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from vizcnn.basics.errors import ImageError, check_kind, shorten
from vizcnn.explorer.answers import Answer
from vizcnn.explorer.byte_budget import ByteBudget
from vizcnn.explorer.contents import describe_photo
from vizcnn.explorer.explored import ExploredPhoto, explore_file
from vizcnn.explorer.explorer import Explorer
from vizcnn.photos.images import decode_photo
from vizcnn.photos.stored import StoredPhoto

BYTES_KEPT = 256 * 2**20
"""Of the files of photos that the page sent; the oldest make room for new ones."""

LARGEST_PIXELS = 50_000_000
"""Pixels of a photo: a file of 16 MB can claim billions."""


class Uploads:
    """Reads photos that the page sends, and gives them to the explorer, in the desk's thread.

    Args:
        explorer: Takes them.
        bytes_kept: See :data:`BYTES_KEPT`.
    """

    def __init__(self, explorer: Explorer, bytes_kept: int = BYTES_KEPT) -> None:
        self._explorer = explorer
        self._kept = ByteBudget[int, None](bytes_kept)

    def take_photo(self, said: Mapping[str, Any], content: bytes) -> Answer:
        """Take a photo.

        Args:
            said: With its ``name``.
            content: Its file.

        Returns:
            Its ``number``, and its entry in the list of photos.

        Raises:
            ImageError: If it is no photo that can be read, or too large.
        """
        name = said.get("name", "photo")
        check_kind("name", name, str, "the photo's name", ImageError)
        photo = _read(name, content)
        number = self._explorer.add_photo(photo)
        for gone in self._kept.put(number, None, len(content)):
            self._explorer.replace_photo(gone, _let_go(self._explorer.photos[gone]))
        return Answer({"number": number, **describe_photo(photo, number)})

    def answer_frame(self, question: Mapping[str, Any], content: bytes) -> Answer:
        """Answer a question of a camera's picture, which is not kept.

        Args:
            question: As the explorer takes it, but for the photo.
            content: The picture's file.

        Raises:
            ImageError: As of :meth:`take_photo`.
        """
        return self._explorer.answer_about(_read("camera", content), question)


def _read(name: str, content: bytes) -> ExploredPhoto:
    """Take a photo's file, and refuse at once what is none."""
    name = shorten(name, 100)
    photo = StoredPhoto(Path("sent"), name, lambda: content)
    decode_photo(photo, LARGEST_PIXELS, name)
    return explore_file(photo, name)


def _let_go(photo: ExploredPhoto) -> ExploredPhoto:
    """Make the entry of a photo whose file is not kept any more: numbers of others stay."""
    name = photo.name  # the photo itself holds its file

    def read() -> NoReturn:
        raise ImageError(f"{name} was let go, as newer photos took its place: drop it again")

    return ExploredPhoto(name, read, photo.sha256)
