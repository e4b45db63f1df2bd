"""Photos to mine: those of folders, patches of scikit-image's photos, or a part of either."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from vizcnn.basics.errors import DataError, ImageError, quote
from vizcnn.photos.folders import survey_folder, warn_left_out
from vizcnn.photos.images import PhotoReader, read_photo
from vizcnn.photos.patches import cut_patches, find_samples, list_squares
from vizcnn.photos.samples import name_photo
from vizcnn.zoo.preprocessing import Preprocessing


class PhotoSet(Protocol):
    """Photos by number, in the order of their names.

    Workers get a copy of it, so it has to survive pickling and must not hold the net.
    """

    @property
    def names(self) -> Sequence[str]:
        """Names of the photos, sorted, none twice."""
        ...

    @property
    def sizes(self) -> Sequence[int]:
        """Bytes of each photo's file: with the names they tell one set from another."""
        ...

    def read(self, number: int) -> Tensor:
        """Give a photo as the net sees it before its normalisation: (3, S, S), RGB, uint8.

        Raises:
            ImageError: If it cannot be read.
        """
        ...

    def describe(self) -> str:
        """Say in one line what photos they are."""
        ...


def list_left_out(photos: PhotoSet) -> tuple[str, ...]:
    """Name what a set found beside its photos that looks like one, or could not be looked at.

    A set of another kind need not know.
    """
    left_out: tuple[str, ...] = getattr(photos, "left_out", ())
    return left_out


class FolderPhotos:
    """The photos of one or more folders, named relative to their folder and sorted by name.

    Names have ``/`` between their parts and are compared code point by code point, so that every
    machine finds the same order. A path that is no folder stands for itself, by its own name.
    Links are followed; what looks like a photo and is not read is named in a warning
    (:func:`~vizcnn.photos.folders.survey_folder`).

    Args:
        paths: Folders, and perhaps single files.
        preprocessing: The net's, for its geometry.

    Attributes:
        left_out: Names of what looks like a photo and is not read, of links that lead nowhere and
            of folders that cannot be read.

    Raises:
        DataError: If a path does not exist, there is no photo at all, or two have one name.
        ImageError: If a folder may not be read.

    Example:
        >>> from vizcnn.zoo.preprocessing import imagenet_preprocessing
        >>> FolderPhotos([Path("missing")], imagenet_preprocessing(224, 256))
        Traceback (most recent call last):
        vizcnn.basics.errors.DataError: no folder 'missing': check the path
    """

    def __init__(self, paths: Sequence[Path], preprocessing: Preprocessing) -> None:
        self._paths, self._preprocessing = tuple(paths), preprocessing
        self._reader = PhotoReader()
        found: dict[str, Path] = {}
        left_out: list[str] = []
        for path in paths:
            for name, file in _find_photos(path, left_out):
                if name in found:
                    raise DataError(_explain_clash(name, found[name], file))
                found[name] = file
        if not found:
            told = " or ".join(
                f"{str(path)!r}, {survey_folder(path).explain_none()}" for path in paths
            )
            raise DataError(f"no photos in {told or 'no folder'}: give a folder that holds some")
        self.names, self.left_out = tuple(sorted(found)), tuple(left_out)
        self._files = tuple(found[name] for name in self.names)
        self.sizes = tuple(_measure(file) for file in self._files)

    def read(self, number: int) -> Tensor:
        """Give a photo (3, S, S), RGB, uint8.

        Raises:
            ImageError: If it cannot be read; the text names the photo as :attr:`names` does, the
                same on every machine.
        """
        path, name = self._files[number], self.names[number]
        try:
            photo = self._reader.read(path)
        except ImageError as error:
            raise ImageError(str(error).replace(repr(str(path)), repr(name))) from None
        return self._preprocessing.fit(photo)

    def describe(self) -> str:
        """Say in one line what photos they are."""
        return f"{len(self.names)} photos in " + ", ".join(repr(str(path)) for path in self._paths)


def _find_photos(path: Path, left_out: list[str]) -> list[tuple[str, Path]]:
    if not path.exists():
        raise DataError(f"no folder {quote(path)}: check the path")
    if not path.is_dir():
        return [(path.name, path)]
    held = survey_folder(path)
    left_out += held.left_out
    if held.photos:
        warn_left_out(path, held.left_out)
    return [(file.relative_to(path).as_posix(), file) for file in held.photos]


def _measure(file: Path) -> int:
    """Give a file's bytes; 0 of a link that leads nowhere, which reading then tells."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _explain_clash(name: str, one: Path, other: Path) -> str:
    if one == other:
        return f"{str(one)!r} is given twice: give it once"
    return (
        f"two photos have the name {name!r} ({str(one)!r} and {str(other)!r}): give the folder "
        "that holds both"
    )


class SamplePatches:
    """Square patches of scikit-image's photos, named by photo and corner: ``coffee/0100,0150``.

    The corner is the patch's top and left in pixels. There are about a hundred; they are kept at
    the net's size.

    Args:
        preprocessing: The net's, for its geometry.

    Raises:
        ImageError: If scikit-image is not installed.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        patches: dict[str, tuple[Tensor, int]] = {}
        for path in find_samples():
            photo = read_photo(path)
            for box, patch in zip(list_squares(*photo.size), cut_patches(photo), strict=True):
                name = f"{name_photo(path)}/{box[1]:04d},{box[0]:04d}"
                patches[name] = preprocessing.fit(patch), 3 * patch.width * patch.height
        self.names = tuple(sorted(patches))
        self.sizes = tuple(patches[name][1] for name in self.names)
        self._pixels = torch.stack([patches[name][0] for name in self.names])

    def read(self, number: int) -> Tensor:
        """Give a patch (3, S, S), RGB, uint8."""
        return self._pixels[number]

    def describe(self) -> str:
        """Say in one line what photos they are."""
        return f"{len(self.names)} patches of scikit-image's sample photos"


class PartOfPhotos:
    """Every so many-th photo of a set, for machines that share one folder.

    Args:
        photos: The whole set.
        part: Which part, from 1.
        parts: In how many it is divided; photo k, counted from 0, is in part k % parts + 1.

    Raises:
        DataError: If there is no such part, or it holds no photo.
    """

    def __init__(self, photos: PhotoSet, part: int, parts: int) -> None:
        if not 1 <= part <= parts:
            raise DataError(
                f"part {part}/{parts} does not exist; needed: 1/{parts}..{parts}/{parts}"
            )
        self._photos, self.part, self.parts = photos, part, parts
        self.names = tuple(photos.names[part - 1 :: parts])
        self.sizes = tuple(photos.sizes[part - 1 :: parts])
        self.left_out = list_left_out(photos)
        if not self.names:
            raise DataError(
                f"part {part}/{parts} of {len(photos.names)} photos is empty: use fewer parts"
            )

    def read(self, number: int) -> Tensor:
        """Give a photo (3, S, S), RGB, uint8.

        Raises:
            ImageError: If it cannot be read.
        """
        return self._photos.read(self.part - 1 + number * self.parts)

    def describe(self) -> str:
        """Say in one line what photos they are."""
        return f"part {self.part}/{self.parts} of {self._photos.describe()}"


def open_photos(paths: Sequence[Path], preprocessing: Preprocessing) -> PhotoSet:
    """Open the photos of folders, or without any :class:`SamplePatches`.

    Raises:
        DataError: If there are none, or two have one name.
        ImageError: If a folder may not be read, or scikit-image is not installed.
    """
    return FolderPhotos(paths, preprocessing) if paths else SamplePatches(preprocessing)


def choose_part(photos: PhotoSet, text: str) -> PhotoSet:
    """Take the part of a set that a text names.

    Args:
        photos: The whole set.
        text: ``"2/4"`` is every 4th photo from the 2nd on, ``"1/1"`` all of them.

    Raises:
        DataError: If the text is of another form, or there is no such part.
    """
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
    if not found:
        raise DataError(
            f"part {quote(text)} is not known; needed: for example 2/4, the 2nd of 4 parts"
        )
    part, parts = int(found[1]), int(found[2])
    return photos if (part, parts) == (1, 1) else PartOfPhotos(photos, part, parts)
