"""Other photos in which a unit is strong, from an index and the photos that it was mined from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import torch
from torch import Tensor

from vizcnn.basics.errors import DataError
from vizcnn.mining.mined_photos import MinedPhotos, check_pair, open_mined_photos
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
        mined: An index that was mined with it, and its photos.
    """

    model: ZooModel
    mined: MinedPhotos

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
        index = self.mined.index
        ranking = self.mined.find_ranking(self.model, layer)
        if ranking is None or unit >= ranking.units:
            names = ", ".join(index.layers)
            raise DataError(f"the index holds no unit {unit} of {layer}; it holds: {names}")
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
            pixels = self.mined.read(photo)[None].float() / 255
            if pixels.shape == here.shape and torch.allclose(pixels, here, atol=1e-6):
                continue
            position = None if row < 0 else (row, column)
            name = index.photos[photo]
            found.append((pixels, OtherPhoto(name=name, activation=value, position=position)))
        return found


def open_other_photos(
    model: ZooModel, index: Path | None, data: Sequence[PurePath]
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
        check_pair([], data)
        return None
    return OtherPhotos(model, open_mined_photos(model, index, data))
