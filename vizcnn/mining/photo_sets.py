"""Photos to mine: those of files, patches of scikit-image's photos, or a part of either."""

import copy
import re
import warnings
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from pathlib import PurePath
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

from vizcnn.basics.errors import DataError, PhotoWarning, quote
from vizcnn.photos.folders import warn_left_out
from vizcnn.photos.framing import LEAST_USED, Framing
from vizcnn.photos.images import PhotoReader, measure_photo, read_photo
from vizcnn.photos.patches import cut_patches, find_samples, list_squares
from vizcnn.photos.remote_photos import RemotePhoto
from vizcnn.photos.samples import name_photo
from vizcnn.photos.stored import PhotoFile, StoredPhoto
from vizcnn.photos.stores import PhotoStore, open_stores
from vizcnn.photos.tars import TarPhotos, strip_suffix
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


def find_source(photos: PhotoSet, number: int) -> str:
    """Name the archive or table that a photo of a set lies in, and the photo in it, for a manifest.

    Empty for photos that are files: where they lie is of this machine, and their names tell them.
    """
    place = getattr(photos, "locate", None)
    found = place(number) if place else None
    if not isinstance(found, StoredPhoto) or isinstance(found, RemotePhoto):
        return ""
    return f"{found.container.name}: {found.member}"


def find_framing(photos: PhotoSet, number: int) -> Framing | None:
    """Tell where a photo of a set lies in the net's input; None where the set does not know.

    Raises:
        ImageError: If it cannot be read any more.
    """
    frame = getattr(photos, "frame", None)
    return frame(number) if frame else None


class FolderPhotos:
    """The photos of folders, lists, tar archives and tables, sorted by name.

    Photos of a folder or archive are named relative to it. Names have ``/`` between their parts and
    are compared code point by code point, so that every machine finds the same order, and a folder
    and its archive the same photos. A photo stands for itself, by its own name. Links are followed
    in folders; what looks like a photo and is not read is named in a warning
    (:func:`~vizcnn.photos.folders.survey_folder`). Where photos of several archives have one name,
    the names of all archives stand before those of their photos,
    and those of their folders before the names that two archives have.

    Args:
        paths: Folders and whatever else :func:`~vizcnn.photos.stores.open_stores` takes.
        preprocessing: The net's, for its geometry.

    Attributes:
        left_out: Names of what looks like a photo and is not read, of links that lead nowhere and
            of folders that cannot be read.

    Raises:
        DataError: If a path does not exist, there is no photo at all, two have one name, a file is
            damaged, or photos shall keep their own sizes.
        ImageError: If a folder may not be read.

    Example:
        >>> from pathlib import Path
        >>> from vizcnn.zoo.preprocessing import imagenet_preprocessing
        >>> FolderPhotos([Path("missing")], imagenet_preprocessing(224, 256))
        Traceback (most recent call last):
        vizcnn.basics.errors.DataError: no folder 'missing': check the path
    """

    def __init__(self, paths: Sequence[PurePath], preprocessing: Preprocessing) -> None:
        require_one_size(preprocessing)
        self._paths, self._preprocessing = tuple(paths), preprocessing
        self._reader, self._told = PhotoReader(), False
        given = [open_stores(path) for path in paths]
        self._stores = [store for stores in given for store in stores]
        names = _name_photos(self._stores)
        if not names:
            told = " or ".join(
                f"{str(path)!r}, {stores[0].explain_none()}"
                for path, stores in zip(paths, given, strict=True)
            )
            raise DataError(f"no photos in {told or 'no folder'}: give a folder that holds some")
        order = sorted(range(len(names)), key=names.__getitem__)
        self._numbers = array("q", order)
        self._firsts = [0, *accumulate(len(store.names) for store in self._stores)]
        for one, other in pairwise(range(len(order))):
            if names[order[one]] == names[order[other]]:
                clash = self.locate(one), self.locate(other)
                raise DataError(_explain_clash(names[order[one]], *clash))
        self.names = tuple(map(names.__getitem__, order))
        sizes = [size for store in self._stores for size in store.sizes]
        self.sizes = tuple(map(sizes.__getitem__, order))
        for store in self._stores:
            if store.names:
                warn_left_out(store.path, store.left_out)
        self.left_out = tuple(name for store in self._stores for name in store.left_out)

    def locate(self, number: int) -> PhotoFile:
        """Say where a photo lies."""
        place = self._numbers[number]
        store = bisect_right(self._firsts, place) - 1
        return self._stores[store].locate(place - self._firsts[store])

    def frame(self, number: int) -> Framing:
        """Tell where a photo lies in the net's input.

        Raises:
            ImageError: If it cannot be read.
        """
        return self._preprocessing.frame(measure_photo(self.locate(number)))

    def read(self, number: int) -> Tensor:
        """Give a photo (3, S, S), RGB, uint8.

        Raises:
            ImageError: If it cannot be read; the text names the photo as :attr:`names` does, the
                same on every machine.
        """
        photo = self._reader.read(self.locate(number), self.names[number])
        self._tell_of_cut(photo)
        return self._preprocessing.fit(photo)

    def _tell_of_cut(self, photo: Image.Image) -> None:
        if not self._told and self._preprocessing.frame(photo).share < LEAST_USED:
            self._told = True
            warnings.warn(
                "of some photos less than 40 % is used, the middle: fit pad or squash (--fit) uses "
                "all of them",
                PhotoWarning,
                stacklevel=3,
            )

    def take(self, numbers: Sequence[int]) -> "FolderPhotos":
        """Give some of the photos alone; see :func:`take_photos`."""
        places = sorted((self._numbers[number], new) for new, number in enumerate(numbers))
        held: dict[int, list[int]] = {}
        for place, _ in places:
            store = bisect_right(self._firsts, place) - 1
            held.setdefault(store, []).append(place - self._firsts[store])
        some = copy.copy(self)
        some._stores = [self._stores[store].take(inside) for store, inside in held.items()]
        some._firsts = [0, *accumulate(len(inside) for inside in held.values())]
        some._numbers = array("q", bytes(8 * len(places)))
        for place, (_, new) in enumerate(places):
            some._numbers[new] = place
        some.names = tuple(self.names[number] for number in numbers)
        some.sizes = tuple(self.sizes[number] for number in numbers)
        some.left_out = ()
        return some

    def describe(self) -> str:
        """Say in one line what photos they are."""
        shown = [repr(str(path)) for path in self._paths[:SHOWN_PATHS]]
        if len(self._paths) > SHOWN_PATHS:
            shown.append(f"{len(self._paths) - SHOWN_PATHS} more")
        return (
            f"{len(self.names)} photos in {', '.join(shown)}{_FITTED[self._preprocessing.fitting]}"
        )


_FITTED = {"crop": "", "pad": "; padded to squares", "squash": "; squashed to squares"}

SHOWN_PATHS = 20
"""Folders and files that a set of photos names."""


def require_one_size(preprocessing: Preprocessing) -> None:
    """Refuse photos of their own sizes where many go through the net together.

    Raises:
        DataError: If they keep their sizes.
    """
    if preprocessing.fitting == "none":
        raise DataError(
            "photos that go through the net together need one size, and fit none leaves each its "
            "own: use fit crop, pad or squash (--fit)"
        )


def _name_photos(stores: Sequence[PhotoStore]) -> list[str]:
    """Name all photos; those of archives by archive and name where names are there twice."""
    names = [name for store in stores for name in store.names]
    if sum(isinstance(store, TarPhotos) for store in stores) < 2 or len(set(names)) == len(names):
        return names
    labels = _name_archives([store.path for store in stores if isinstance(store, TarPhotos)])
    return [
        f"{labels[store.path]}/{name}" if isinstance(store, TarPhotos) else name
        for store in stores
        for name in store.names
    ]


def _name_archives(paths: Sequence[PurePath]) -> dict[PurePath, str]:
    """Name archives without their endings, those of one name with the folders that differ."""
    labels = {path: strip_suffix(path) for path in paths}
    for length in range(1, max(len(path.parts) for path in paths)):
        count = Counter(labels.values())
        for path, label in labels.items():
            if count[label] > 1:
                folders = path.parent.parts[-length:]
                labels[path] = "/".join((*folders, strip_suffix(path)))
    return labels


def _explain_clash(name: str, one: PhotoFile, other: PhotoFile) -> str:
    if one == other and isinstance(one, StoredPhoto) and not isinstance(one, RemotePhoto):
        return f"{str(one)!r} is there twice: give each archive once, with each photo once"
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
        require_one_size(preprocessing)
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

    def take(self, numbers: Sequence[int]) -> "SamplePatches":
        """Give some of the patches alone; see :func:`take_photos`."""
        some = copy.copy(self)
        some.names = tuple(self.names[number] for number in numbers)
        some.sizes = tuple(self.sizes[number] for number in numbers)
        some._pixels = self._pixels[list(numbers)]
        return some

    def describe(self) -> str:
        """Say in one line what photos they are."""
        return f"{len(self.names)} patches of scikit-image's sample photos"


class ChosenPhotos:
    """Some photos of a set.

    Pickled, it has only what they need, if the set can give it (:func:`take_photos`): there may be
    a million photos, and hundreds of processes, each of which gets a part.

    Args:
        photos: The whole set.
        numbers: Which of them, in rising order.
    """

    def __init__(self, photos: PhotoSet, numbers: Sequence[int]) -> None:
        self._photos, self._numbers, self._whole = photos, numbers, photos.describe()
        self.names = tuple(photos.names[number] for number in numbers)
        self.sizes = tuple(photos.sizes[number] for number in numbers)
        self.left_out = list_left_out(photos)

    def __getstate__(self) -> dict[str, Any]:
        """Give what goes to another process, which has no use for the names of what is left out."""
        state = {**vars(self), "left_out": ()}
        if hasattr(self._photos, "take"):
            some = take_photos(self._photos, self._numbers)
            # the same objects, which are pickled once
            state |= {"names": some.names, "sizes": some.sizes}
            state |= {"_photos": some, "_numbers": range(len(some.names))}
        return state

    def read(self, number: int) -> Tensor:
        """Give a photo (3, S, S), RGB, uint8.

        Raises:
            ImageError: If it cannot be read.
        """
        return self._photos.read(self._numbers[number])

    def locate(self, number: int) -> PhotoFile | None:
        """Say where a photo lies; None of a set that does not tell."""
        place = getattr(self._photos, "locate", None)
        return place(self._numbers[number]) if place else None

    def frame(self, number: int) -> Framing | None:
        """Tell where a photo lies in the net's input; None of a set that does not know.

        Raises:
            ImageError: If it cannot be read.
        """
        return find_framing(self._photos, self._numbers[number])

    def take(self, numbers: Sequence[int]) -> PhotoSet:
        """Give some of the photos alone; see :func:`take_photos`."""
        return take_photos(self._photos, [self._numbers[number] for number in numbers])

    def describe(self) -> str:
        """Say in one line what photos they are."""
        return f"{len(self.names)} of {self._whole}"


class PartOfPhotos(ChosenPhotos):
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
        self.part, self.parts = part, parts
        super().__init__(photos, range(part - 1, len(photos.names), parts))
        if not self.names:
            raise DataError(
                f"part {part}/{parts} of {len(photos.names)} photos is empty: use fewer parts"
            )

    def describe(self) -> str:
        """Say in one line what photos they are."""
        return f"part {self.part}/{self.parts} of {self._whole}"


def take_photos(photos: PhotoSet, numbers: Sequence[int]) -> PhotoSet:
    """Give some photos of a set alone: with their names, and no more than they need.

    Args:
        photos: The whole set.
        numbers: Which of them, in rising order.

    Returns:
        A set that is as small as its photos allow, where the set has a method ``take``; else one
        that still holds the whole.

    Example:
        >>> from vizcnn.zoo.preprocessing import imagenet_preprocessing
        >>> patches = SamplePatches(imagenet_preprocessing(8, 8))
        >>> take_photos(patches, [0, 3]).names
        ('astronaut/0000,0000', 'astronaut/0128,0000')
    """
    take: Callable[[Sequence[int]], PhotoSet] | None = getattr(photos, "take", None)
    return take(numbers) if take else ChosenPhotos(photos, numbers)


def open_photos(paths: Sequence[PurePath], preprocessing: Preprocessing) -> PhotoSet:
    """Open the photos of files (:class:`FolderPhotos`), or without any :class:`SamplePatches`.

    Raises:
        DataError: If there are none, two have one name, or a file is damaged.
        ImageError: If a folder may not be read, or scikit-image is not installed.
    """
    return FolderPhotos(paths, preprocessing) if paths else SamplePatches(preprocessing)


def read_part(text: str) -> tuple[int, int]:
    """Read which part of how many a text names: ``"2/4"``.

    Raises:
        DataError: If it is of another form.
    """
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
    if not found:
        raise DataError(
            f"part {quote(text)} is not known; needed: for example 2/4, the 2nd of 4 parts"
        )
    return int(found[1]), int(found[2])


def choose_part(photos: PhotoSet, text: str) -> PhotoSet:
    """Take the part of a set that a text names.

    Args:
        photos: The whole set.
        text: ``"2/4"`` is every 4th photo from the 2nd on, ``"1/1"`` all of them.

    Raises:
        DataError: If the text is of another form, or there is no such part.
    """
    part, parts = read_part(text)
    return photos if (part, parts) == (1, 1) else PartOfPhotos(photos, part, parts)
