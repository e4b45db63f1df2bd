"""Files that say where parts lie in photos: eyes and nose, wheels, handles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from vizcnn.basics.codec import ManifestError, Text, decode
from vizcnn.basics.errors import DataError, quote
from vizcnn.basics.files import read_plain_file
from vizcnn.photos.framing import Framing
from vizcnn.photos.images import read_photo
from vizcnn.photos.pixels import Box
from vizcnn.photos.samples import find_sample
from vizcnn.photos.stored import PhotoFile

SHIPPED = Path(__file__).with_name("faces") / "parts.json"
"""The file that is taken where none is named: eyes and nose of four faces."""

MOST_PHOTOS, MOST_PARTS, LONGEST_NAME = 200, 20, 40
_LARGEST_FILE = 1 << 24
"""Bytes."""


@dataclass(frozen=True)
class _Entry:
    """A photo as the file has it."""

    photo: str
    parts: dict[str, tuple[int, int, int, int]]
    crop: tuple[int, int, int, int] | None = None
    object: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class _File:
    """The whole file."""

    photos: tuple[_Entry, ...]
    note: Text = ""


@dataclass(frozen=True)
class MarkedPhoto:
    """A photo whose parts are marked.

    Attributes:
        path: Where it lies.
        parts: Boxes of its parts by name, in pixels of the photo: top, left, bottom, right, the
            last two exclusive.
        crop: The part of the photo that is used; all of it when None.
        object: Box of what the parts are parts of; what the net sees when None.
    """

    path: PhotoFile
    parts: Mapping[str, Box]
    crop: Box | None = None
    object: Box | None = field(default=None)

    def read(self) -> Image.Image:
        """Read the part of the photo that is used.

        Raises:
            ImageError: If the photo cannot be read.
            DataError: If a box is not inside the photo.
        """
        image = read_photo(self.path)
        whole = (0, 0, image.height, image.width)
        top, left, bottom, right = crop = self.crop or whole
        where = f"of {quote(self.path.name)}"
        _require_inside(crop, whole, f"the crop {where}", "the photo")
        for name, box in self.parts.items():
            _require_inside(box, crop, f"the part {quote(name)} {where}", self._name_used())
        if self.object:
            _require_inside(self.object, crop, f"the object {where}", self._name_used())
        return image.crop((left, top, right, bottom)) if self.crop else image

    def _name_used(self) -> str:
        return "the crop" if self.crop else "the photo"

    def find_part(self, name: str, framing: Framing) -> Box:
        """Find where a part lies in a net's input.

        Args:
            name: The part's.
            framing: Where the part of the photo that is used lies in the input.

        Returns:
            Top, left, bottom, right in whole pixels of the input.

        Raises:
            DataError: If something of it is not seen, or it is smaller than a pixel.
        """
        box, (top, left, bottom, right) = self._place(self.parts[name], framing), framing.inside
        where = f"the part {quote(name)} of {quote(self.path.name)}"
        if box[0] < top or box[1] < left or box[2] > bottom or box[3] > right:
            raise DataError(
                f"{where} lies partly outside of what the net sees: use fit squash or pad (--fit), "
                "or give a crop around it in the file"
            )
        if box[2] <= box[0] or box[3] <= box[1]:
            raise DataError(
                f"{where} is smaller than a pixel of the net's input: give a crop around the "
                "object in the file, or a larger input (--size)"
            )
        return box

    def find_object(self, framing: Framing) -> Box:
        """Find what a net sees of the object, in whole pixels of its input; it may be nothing."""
        if self.object is None:
            return framing.inside
        top, left, bottom, right = self._place(self.object, framing)
        first_row, first_column, last_row, last_column = framing.inside
        return (
            max(top, first_row),
            max(left, first_column),
            min(bottom, last_row),
            min(right, last_column),
        )

    def _place(self, box: Box, framing: Framing) -> Box:
        """Take a box of the photo to the input, to whole pixels."""
        first_row, first_column = (self.crop or (0, 0))[:2]
        left, upper, right, lower = framing.used
        top, start, bottom, end = framing.inside
        down, across = (bottom - top) / (lower - upper), (end - start) / (right - left)
        rows = [round(top + (edge - first_row - upper) * down) for edge in box[::2]]
        columns = [round(start + (edge - first_column - left) * across) for edge in box[1::2]]
        return rows[0], columns[0], rows[1], columns[1]


def _require_inside(box: Box, whole: Box, what: str, whose: str) -> None:
    if not (whole[0] <= box[0] < box[2] <= whole[2] and whole[1] <= box[1] < box[3] <= whole[3]):
        raise DataError(
            f"{what} is {list(box)}; needed: top, left, bottom and right in pixels, inside {whose} "
            f"{list(whole)}"
        )


def read_parts(path: Path = SHIPPED) -> list[MarkedPhoto]:
    """Read a file that says where parts lie in photos.

    It is JSON: ``{"photos": [{"photo": "dog.jpg", "parts": {"nose": [120, 80, 150, 115]}}]}``. A
    box has top, left, bottom and right in pixels of the upright photo, the last two exclusive. All
    photos have the same parts. ``"crop"`` is a box of what is shown to a net, ``"object"`` one of
    what the parts are parts of; both may be left out. Photos are paths relative to the file, or
    names of samples.

    Args:
        path: The file.

    Returns:
        The photos, two at least; they are not read yet.

    Raises:
        DataError: If the file cannot be read, or says something else; one line.

    Example:
        >>> photos = read_parts()
        >>> len(photos), list(photos[0].parts)
        (4, ['right eye', 'left eye', 'nose'])
    """
    try:
        content = read_plain_file(path, "file of parts", DataError, largest=_LARGEST_FILE)
        told = decode(_File, content.decode("utf-8-sig"))  # editors may begin it with a mark
    except UnicodeDecodeError:
        raise DataError(f"{quote(path)} is not text: needed is JSON") from None
    except ManifestError as error:
        reason = str(error).removeprefix(_File.__name__).lstrip(".: ")
        raise DataError(f"{quote(path)}: {reason}") from None
    if not 2 <= len(told.photos) <= MOST_PHOTOS:
        raise DataError(
            f"{quote(path)} has {len(told.photos)} photos; needed: 2 to {MOST_PHOTOS}, to compare "
            "what hiding a part changes in one and in another"
        )
    names = list(told.photos[0].parts)
    for entry in told.photos:
        _check_names(path, entry, names)
    return [
        MarkedPhoto(
            _locate(path, entry.photo),
            {name: entry.parts[name] for name in names},
            entry.crop,
            entry.object,
        )
        for entry in told.photos
    ]


def _check_names(path: Path, entry: _Entry, names: list[str]) -> None:
    where = f"{quote(path)}: photo {quote(entry.photo)}"
    if not entry.photo.strip():
        raise DataError(f"{quote(path)}: the name of a photo is empty")
    if not 1 <= len(names) <= MOST_PARTS:
        raise DataError(f"{where} has {len(names)} parts; needed: 1 to {MOST_PARTS}")
    if set(entry.parts) != set(names):
        missing = [name for name in names if name not in entry.parts]
        more = [name for name in entry.parts if name not in names]
        told = f"lacks the part {quote(missing[0])}" if missing else f"has a part {quote(more[0])}"
        raise DataError(f"{where} {told}, unlike the first: all photos need the same parts")
    for name in names:
        if not 1 <= len(name.strip()) <= LONGEST_NAME or not name.isprintable():
            raise DataError(
                f"{where} has a part named {quote(name)}; needed: a name of 1 to {LONGEST_NAME} "
                "letters that can be printed"
            )


def _locate(path: Path, photo: str) -> Path:
    """Find a photo that a file names: beside the file, or a sample."""
    beside = path.parent / photo
    try:
        is_there = beside.exists()
    except (OSError, ValueError):  # of a name that no file can have
        is_there = False
    return beside if is_there else (find_sample(photo) or beside)
