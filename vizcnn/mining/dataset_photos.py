"""Photos of a data set in Python: torchvision's Dataset, Hugging Face's datasets, any sequence."""

import copy
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, Subset

from vizcnn.basics.errors import DataError, ImageError, VizcnnError, quote
from vizcnn.basics.memory import find_shortage
from vizcnn.mining.photo_sets import require_one_size
from vizcnn.photos.arrays import read_values, to_photo
from vizcnn.photos.arrow_tables import USUAL_COLUMNS
from vizcnn.photos.framing import Framing
from vizcnn.photos.images import read_photo
from vizcnn.photos.stored import StoredPhoto
from vizcnn.zoo.preprocessing import Preprocessing

MOST_PHOTOS = 1 << 31
"""Photos of a data set: its length may be any number."""


class DatasetPhotos:
    """The photos of a data set in Python: anything with ``__len__`` and ``__getitem__``.

    An item is a photo, or a tuple that begins with one (photo, label), or a mapping with one under
    ``image``, as those of Hugging Face. A photo is a PIL image, a path, the bytes of a file, an
    array (H, W, 3) or a tensor (3, H, W): of whole numbers 0..255 or of 0..1. A data set that
    crops and normalises by itself is refused: give it without its transforms.

    Photos are named by their numbers, with as many digits as the last one has. Workers get a copy
    of the data set; where processes are not copied but begun anew, it has to survive pickling.

    Args:
        dataset: The data set.
        preprocessing: The net's, for its geometry.
        name: What to call it in pages and manifests.

    Attributes:
        names: The numbers of the photos.
        sizes: Zeros: how many bytes a photo has is not known.

    A DataLoader, and a sampler, are refused: they say which photos one of several processes gets,
    and torch's DistributedSampler repeats photos so that all get as many (pytorch issue 25162). A
    photo that is there twice would be twice among the strongest. A Subset may repeat none either;
    the photos of one process are a :class:`~vizcnn.mining.photo_sets.PartOfPhotos`.

    Raises:
        DataError: If it is no data set, or empty, or repeats photos, or photos shall keep their own
            sizes.

    Example:
        >>> from vizcnn.zoo.preprocessing import imagenet_preprocessing
        >>> dataset = [(Image.new("RGB", (40, 30)), 7)] * 12
        >>> photos = DatasetPhotos(dataset, imagenet_preprocessing(8, 8))
        >>> photos.names[3], photos.read(3).shape
        ('03', torch.Size([3, 8, 8]))
    """

    def __init__(self, dataset: Any, preprocessing: Preprocessing, name: str = "") -> None:
        require_one_size(preprocessing)
        _refuse_shares(dataset)
        if not hasattr(dataset, "__getitem__") or isinstance(dataset, str | bytes | Mapping):
            raise DataError(
                f"got {type(dataset).__name__} ({quote(dataset)}) as a data set; needed: something "
                "with a length and numbered items, such as torchvision's ImageFolder"
            )
        try:
            count = len(dataset)
        except TypeError:
            raise DataError(
                f"got {type(dataset).__name__} as a data set, which has no length: one that "
                "streams cannot be mined; give one whose items have numbers"
            ) from None
        if not 0 < count <= MOST_PHOTOS:
            raise DataError(f"the data set has {count:,} photos; needed: 1 to {MOST_PHOTOS:,}")
        self._dataset, self._preprocessing = dataset, preprocessing
        self._numbers: Sequence[int] = range(count)
        self._name = name or type(dataset).__name__
        digits = len(str(count - 1))
        self.names = tuple(f"{number:0{digits}d}" for number in range(count))
        self.sizes = (0,) * count

    def read(self, number: int) -> Tensor:
        """Give a photo (3, S, S), RGB, uint8.

        Raises:
            ImageError: If the data set cannot give it, or it is none.
        """
        return self._preprocessing.fit(self._get(number))

    def frame(self, number: int) -> Framing:
        """Tell where a photo lies in the net's input.

        Raises:
            ImageError: As for :meth:`read`.
        """
        return self._preprocessing.frame(self._get(number))

    def _get(self, number: int) -> Image.Image:
        name = self.names[number]
        try:
            item = self._dataset[self._numbers[number]]
        except Exception as error:
            if find_shortage(error):
                raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ImageError(f"photo {name} cannot be had ({reason:.200})") from error
        try:
            return _read_item(item)
        except VizcnnError as error:
            raise ImageError(f"photo {name}: {error}") from None

    def take(self, numbers: Sequence[int]) -> "DatasetPhotos":
        """Give some of the photos alone; see :func:`~vizcnn.mining.photo_sets.take_photos`.

        Of lists, arrays, and torchvision's folders of images these are the items alone; any other
        data set stays whole.
        """
        some = copy.copy(self)
        some.names = tuple(self.names[number] for number in numbers)
        some.sizes = (0,) * len(numbers)
        some._dataset, some._numbers = _take_items(
            self._dataset, [self._numbers[number] for number in numbers]
        )
        return some

    def describe(self) -> str:
        """Say in one line what photos they are."""
        return f"{len(self.names)} photos of {self._name}"


def _refuse_shares(dataset: Any) -> None:
    """Refuse what deals photos out to processes, or has one twice.

    Raises:
        DataError: If it is such.
    """
    if isinstance(dataset, DataLoader | Sampler):
        raise DataError(
            f"got {type(dataset).__name__} as a data set, which may repeat photos, as torch's "
            "DistributedSampler does to even out shares: give the data set itself, and mine a part "
            "of it with PartOfPhotos(photos, part, parts)"
        )
    items, owner = None, dataset
    while isinstance(owner, Subset):  # of a subset, perhaps
        chosen = [int(number) for number in owner.indices]
        items = chosen if items is None else [chosen[number] for number in items]
        owner = owner.dataset
    if items is None:
        return
    if any(number < 0 for number in items):  # counted from the end
        items = [number % len(owner) for number in items]
    first: dict[int, int] = {}
    for place, number in enumerate(items):
        if number in first:
            raise DataError(
                f"the data set has its item {number} twice (as photos {first[number]} and "
                f"{place}), as shares that torch's DistributedSampler evens out have: give each "
                "photo once, and mine a part with PartOfPhotos(photos, part, parts)"
            )
        first[number] = place


def _take_items(dataset: Any, numbers: Sequence[int]) -> tuple[Any, Sequence[int]]:
    """Give a data set that has some items, and what numbers they have in it."""
    alone = range(len(numbers))
    if type(dataset) in (list, tuple):
        return [dataset[number] for number in numbers], alone
    if type(dataset) in (np.ndarray, Tensor):
        return dataset[list(numbers)], alone
    if type(dataset) is Subset:
        return _take_items(dataset.dataset, [dataset.indices[number] for number in numbers])
    if type(dataset).__module__ == "torchvision.datasets.folder":
        some = copy.copy(dataset)  # not of classes derived from these, which may do anything
        some.samples = some.imgs = [dataset.samples[number] for number in numbers]
        some.targets = [target for _, target in some.samples]
        return some, alone
    return dataset, array("q", numbers)


def _read_item(item: Any) -> Image.Image:
    """Find the photo in an item and read it.

    Raises:
        ImageError: If there is none.
    """
    if isinstance(item, tuple | list) and item:
        item = item[0]
    if isinstance(item, Mapping):
        here = [name for name in (*USUAL_COLUMNS, "bytes") if item.get(name) is not None]
        if not here:
            raise ImageError(f"an item with {', '.join(map(str, item))}; needed: one with an image")
        return _read_item(item[here[0]])
    if isinstance(item, bytes):
        content = item
        return read_photo(StoredPhoto(Path("item"), "bytes", lambda: content))
    if isinstance(item, np.ndarray | Tensor):
        pixels = read_values(item)
        if len(pixels) != 1:
            raise ImageError(f"got {len(pixels)} photos in one item; needed: one")
        return to_photo(pixels[0])
    return read_photo(item)
