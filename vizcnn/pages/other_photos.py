"""Other photos in which a unit is strong, from an index and the photos that it was mined from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vizcnn.basics.errors import DataError, quote
from vizcnn.mining.identity import hash_module
from vizcnn.mining.index import StrongestIndex, hash_pixels, read_index
from vizcnn.mining.photo_sets import PhotoSet, open_photos
from vizcnn.mining.ranks import describe_order
from vizcnn.pages.layers.job import refuse_changed
from vizcnn.recording.layers import find_layer
from vizcnn.zoo.model import ZooModel


@dataclass(frozen=True, kw_only=True)
class OtherPhoto:
    """Another photo in which the unit is strong, from the index.

    Attributes:
        name: Its name there.
        activation: The unit's value.
        position: Row and column in the feature map.
    """

    name: str
    activation: float
    position: tuple[int, int] | None


@dataclass(frozen=True)
class OtherPhotos:
    """Where other photos of a unit are taken from.

    Attributes:
        model: The net.
        index: An index that was mined with it.
        photos: The photos that it was mined from.
    """

    model: ZooModel
    index: StrongestIndex
    photos: PhotoSet

    def find(
        self, layer: str, unit: int, here: Tensor, count: int
    ) -> list[tuple[Tensor, OtherPhoto]]:
        """Find the unit's strongest places in other photos: pixels, and what the manifest says.

        Args:
            layer: The unit's layer.
            unit: Its number.
            here: The photo that is looked at, (1, 3, S, S), which does not count.
            count: How many photos, at most.

        Raises:
            DataError: If the index does not hold the unit, or a photo is missing or was changed.
        """
        path = find_layer(self.model, layer)
        held = [ranking for ranking in self.index.layers.values() if ranking.path == path]
        if not held or unit >= held[0].units:
            names = ", ".join(self.index.layers)
            raise DataError(f"the index holds no unit {unit} of {layer}; it holds: {names}")
        ranking, numbers = held[0], {name: k for k, name in enumerate(self.photos.names)}
        found: list[tuple[Tensor, OtherPhoto]] = []
        seen: set[int] = set()
        rows = zip(
            ranking.photos[unit].tolist(),
            ranking.values[unit].tolist(),
            ranking.positions[unit].tolist(),
            strict=True,
        )
        for photo, value, (row, column) in rows:
            if photo < 0 or value <= 0 or photo in seen or len(found) == count:
                continue
            seen.add(photo)
            name = self.index.photos[photo]
            if name not in numbers:
                raise DataError(
                    f"photo {quote(name)} of the index is not in {self.photos.describe()}: give "
                    "the photos that were mined (--index-data)"
                )
            pixels = self.photos.read(numbers[name])
            if hash_pixels(pixels) != self.index.digests[photo].numpy().tobytes():
                refuse_changed([name])
            pixels = pixels[None].float() / 255
            if pixels.shape == here.shape and torch.allclose(pixels, here, atol=1e-6):
                continue
            position = None if row < 0 else (row, column)
            found.append((pixels, OtherPhoto(name=name, activation=value, position=position)))
        return found


def open_other_photos(
    model: ZooModel, index: Path | None, data: Sequence[Path]
) -> OtherPhotos | None:
    """Open an index and the photos that it was mined from; None without an index.

    Args:
        model: A net of the zoo.
        index: Index of ``vizcnn mine`` or a gallery.
        data: The photos.

    Raises:
        DataError: If there are no photos or no index for them, or the index is of other weights,
            or ranks photos by anything but activation.
    """
    if index is None:
        if data:
            raise DataError(
                "photos of an index are given (--index-data), but no index: give that too (--index)"
            )
        return None
    if not data:
        raise DataError(
            "an index holds no photos: give those that it was mined from (--index-data)"
        )
    found = read_index(index)
    if found.identity.sha256 != hash_module(model.module):
        raise DataError(
            f"index {quote(index.name)} was mined with other weights ({found.identity.weights}) "
            f"than {model.title} has here: mine anew"
        )
    if found.identity.rank != "activation":
        raise DataError(
            f"index {quote(index.name)} has {describe_order(found.identity.rank)}, and here a "
            "unit's strongest are shown: mine with --rank activation"
        )
    return OtherPhotos(model, found, open_photos(data, model.preprocessing))
