"""Where the explorer has units' strongest places from: indexes with their photos, and galleries."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import torch
from torch import Tensor

from vizcnn.basics.codec import LARGEST_JSON, ManifestError, RelativeFile, check, parse
from vizcnn.basics.errors import DataError, ImageError, quote
from vizcnn.basics.files import read_plain_file
from vizcnn.gallery.manifest import FILE_NAME
from vizcnn.mining.index import INDEX_NAME, read_index
from vizcnn.mining.mined_photos import MinedPhotos, check_pair, find_nets_of
from vizcnn.mining.photo_sets import open_photos
from vizcnn.photos.images import read_photo
from vizcnn.zoo.model import ZooModel


def open_strongest(
    models: Sequence[ZooModel],
    indexes: Sequence[Path] = (),
    data: Sequence[PurePath] = (),
    galleries: Sequence[Path] = (),
) -> list[MinedPhotos | None]:
    """Open what there is of each net's strongest places.

    Args:
        models: The nets.
        indexes: Indexes of ``vizcnn mine`` or of galleries.
        data: The photos that these were mined from.
        galleries: Folders of ``vizcnn gallery``, which hold an index and pictures of its photos.

    Returns:
        One for each net; None where there is nothing.

    Raises:
        DataError: If there are photos without an index or the other way round, or something is of
            none of the nets, damaged, or of a net that has one already.
    """
    check_pair(indexes, data)
    found: list[MinedPhotos | None] = [None] * len(models)
    for source in (*indexes, *galleries):
        is_gallery = source in galleries
        index = read_index(source / INDEX_NAME if is_gallery else source)
        for number in find_nets_of(models, index, source.name):
            model = models[number]
            if found[number]:
                raise DataError(
                    f"{quote(source.name)} is a second index of {model.title}: give one for each "
                    "net"
                )
            photos = (
                GalleryPhotos(source, index.identity.input_size)
                if is_gallery
                else open_photos(data, model.preprocessing)
            )
            found[number] = MinedPhotos(index, photos, are_exact=not is_gallery)
    return found


@dataclass(frozen=True)
class _KeptPhoto:
    """What a gallery's manifest says of a photo, of which it keeps a picture."""

    name: str
    image: RelativeFile


@dataclass(frozen=True)
class _Kept:
    """What is read of a gallery's manifest."""

    kind: str
    photos: tuple[_KeptPhoto, ...]


class GalleryPhotos:
    """The photos that a gallery shows, as it keeps them: a :class:`PhotoSet` of its pictures.

    They are what the net saw, but for the losses of their files.

    Args:
        folder: Folder of ``vizcnn gallery``.
        side: Side of the net's input in pixels.

    Raises:
        DataError: If the folder is no such gallery, or its manifest is damaged.
    """

    def __init__(self, folder: Path, side: int) -> None:
        file, self._folder, self._side = folder / FILE_NAME, folder, side
        content = read_plain_file(file, "manifest", DataError, largest=LARGEST_JSON)
        try:
            kept = check(_Kept, parse(content.decode("utf-8")), quote(file), DataError)
        except (ManifestError, UnicodeDecodeError) as error:
            raise DataError(f"{quote(file)} is no manifest of a gallery ({error})") from None
        if kept.kind != "gallery":
            raise DataError(
                f"{quote(folder)} is of vizcnn {quote(kept.kind)}; needed: a folder of vizcnn "
                "gallery"
            )
        images = {photo.name: photo.image for photo in kept.photos}
        self.names = tuple(sorted(images))
        self._images = [images[name] for name in self.names]
        self.sizes = (0,) * len(self.names)

    def read(self, number: int) -> Tensor:
        """Give a photo (3, S, S), RGB, uint8.

        Raises:
            ImageError: If it cannot be read, or has another size.
        """
        photo = read_photo(self._folder / self._images[number])
        if photo.size != (self._side, self._side):
            raise ImageError(
                f"{quote(self._images[number])} of the gallery has {photo.width} × {photo.height} "
                f"px, not {self._side} × {self._side}: make the gallery anew"
            )
        return torch.from_numpy(np.array(photo)).permute(2, 0, 1)

    def describe(self) -> str:
        """Say in one line what photos they are."""
        return f"{len(self.names)} photos that the gallery {str(self._folder)!r} keeps"
