"""An index together with the photos that it was mined from: its places can be shown."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

from torch import Tensor

from vizcnn.basics.errors import DataError, quote
from vizcnn.mining.identity import hash_module
from vizcnn.mining.index import LayerRanking, StrongestIndex, hash_pixels, read_index
from vizcnn.mining.photo_sets import PhotoSet, open_photos
from vizcnn.mining.ranks import describe_order
from vizcnn.recording.layers import find_layer
from vizcnn.zoo.model import ZooModel

MOST_NAMED = 3
"""Photos that an error names; more are counted."""


@dataclass(frozen=True)
class MinedPhotos:
    """An index of a net's strongest places, and the photos that it was mined from.

    Attributes:
        index: The index.
        photos: The photos.
        are_exact: Whether these are the photos that were mined, which is checked of each that is
            read; else pictures that were kept of them.
    """

    index: StrongestIndex
    photos: PhotoSet
    are_exact: bool = True

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.photos.names)}

    def find_ranking(self, model: ZooModel, layer: str) -> LayerRanking | None:
        """Give the ranking of a layer, whatever it is called there; None if the index has none."""
        path = find_layer(model, layer)
        held = (ranking for ranking in self.index.layers.values() if ranking.path == path)
        return next(held, None)

    def hash_places(self) -> str:
        """Compute the SHA-256 of the places and of the photos' pixels: what is shown of it."""
        sha256 = hashlib.sha256(self.index.digests.numpy().tobytes())
        for name, ranking in self.index.layers.items():
            sha256.update(f"{name} {ranking.path} {tuple(ranking.values.shape)}\n".encode())
            for part in (ranking.values, ranking.photos, ranking.positions):
                sha256.update(part.numpy().tobytes())
        return sha256.hexdigest()

    def has(self, photo: int) -> bool:
        """Tell whether a photo of the index is here."""
        return self.index.photos[photo] in self._numbers

    def read(self, photo: int) -> Tensor:
        """Read a photo of the index: (3, S, S), RGB, uint8.

        Args:
            photo: Its number there.

        Raises:
            DataError: If it is missing, or was changed since.
            ImageError: If it cannot be read.
        """
        name = self.index.photos[photo]
        if name not in self._numbers:
            raise DataError(
                f"photo {quote(name)} of the index is not in {self.photos.describe()}: give "
                "the photos that were mined (--index-data)"
            )
        pixels = self.photos.read(self._numbers[name])
        digest = self.index.digests[photo].numpy().tobytes()
        if self.are_exact and hash_pixels(pixels) != digest:
            refuse_changed([name])
        return pixels


def open_mined_photos(model: ZooModel, index: Path, data: Sequence[PurePath]) -> MinedPhotos:
    """Open an index of a net's strongest places, and the photos that it was mined from.

    Args:
        model: A net of the zoo.
        index: Index of ``vizcnn mine`` or a gallery.
        data: The photos.

    Raises:
        DataError: If there are no photos, or the index is of other weights, or ranks photos by
            anything but activation.
    """
    check_pair([index], data)
    found = read_index(index)
    find_nets_of([model], found, index.name)
    return MinedPhotos(found, open_photos(data, model.preprocessing))


def check_pair(indexes: Sequence[Path], data: Sequence[PurePath]) -> None:
    """Make sure that indexes come with the photos that they were mined from, or neither.

    Raises:
        DataError: If one is given without the other.
    """
    if data and not indexes:
        raise DataError(
            "photos of an index are given (--index-data), but no index: give that too (--index)"
        )
    if indexes and not data:
        raise DataError(
            "an index holds no photos: give those that it was mined from (--index-data)"
        )


def find_nets_of(models: Sequence[ZooModel], index: StrongestIndex, name: str) -> list[int]:
    """Find the nets that an index is of, and make sure that it is of strongest places.

    Args:
        models: Nets of the zoo.
        index: The index.
        name: What errors call it.

    Returns:
        The numbers of those that have its weights, at least one.

    Raises:
        DataError: If it is of other weights, or ranks photos by anything but activation.
    """
    sha256 = index.identity.sha256
    found = [n for n, model in enumerate(models) if hash_module(model.module) == sha256]
    if not found:
        titles = ", ".join(model.title for model in models)
        raise DataError(
            f"index {quote(name)} was mined with other weights ({index.identity.weights}) "
            f"than {titles} has here: mine anew"
        )
    if index.identity.rank != "activation":
        raise DataError(
            f"index {quote(name)} has {describe_order(index.identity.rank)}, and here a "
            "unit's strongest are shown: mine with --rank activation"
        )
    return found


def refuse_changed(names: Sequence[str]) -> None:
    """Refuse photos that are others than those that were mined: their patches would be wrong.

    Raises:
        DataError: Always.
    """
    raise DataError(
        f"{describe_names(names)} changed since mining: put the former back, or mine anew "
        "(another --out, without --index)"
    )


def describe_names(names: Sequence[str]) -> str:
    """Name photos, the first ones by name.

    Example:
        >>> describe_names(["a.jpg"]), describe_names(list("abcde"))
        ("photo 'a.jpg'", "photos 'a', 'b', 'c' and 2 more")
    """
    named = ", ".join(repr(name) for name in names[:MOST_NAMED])
    more = len(names) - MOST_NAMED
    return f"photo{'s' if len(names) > 1 else ''} {named}" + (
        f" and {more} more" if more > 0 else ""
    )
