"""Indexes of disjoint photos, joined to the one that a single run over all would have made."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from vizcnn.errors import DataError
from vizcnn.mining.identity import list_differences
from vizcnn.mining.index import LayerRanking, StrongestIndex
from vizcnn.mining.ranking import join_rankings


def merge_indexes(
    indexes: Sequence[StrongestIndex], names: Sequence[str] | None = None
) -> StrongestIndex:
    """Join indexes of disjoint photos.

    Args:
        indexes: Complete indexes of one identity.
        names: What to call them in messages; by default their numbers.

    Returns:
        The index of all photos, in the order of their names: written to a file, the same bytes as
        one run over all of them gives.

    Raises:
        DataError: If there are none, one is not complete, they were not made with the same net and
            settings, or a photo is in two of them.
    """
    called = list(names or (f"index {number + 1}" for number in range(len(indexes))))
    if not indexes:
        raise DataError("no index to merge was given")
    for name, index in zip(called, indexes, strict=True):
        _require_mergeable(name, index, called[0], indexes[0])
    sizes = _unite_photos(indexes, called)
    photos = tuple(sorted(sizes))
    numbers = {photo: number for number, photo in enumerate(photos)}
    return StrongestIndex(
        identity=indexes[0].identity,
        photos=photos,
        sizes=tuple(sizes[photo] for photo in photos),
        done=len(photos),
        failures=tuple(sorted(failure for index in indexes for failure in index.failures)),
        layers={
            layer: join_rankings(
                [_renumber(index.layers[layer], index.photos, numbers) for index in indexes]
            )
            for layer in indexes[0].layers
        },
    )


def _require_mergeable(
    name: str, index: StrongestIndex, first_name: str, first: StrongestIndex
) -> None:
    differences = list_differences(index.identity, first.identity)
    if differences:
        raise DataError(
            f"{name} cannot be merged with {first_name} ({'; '.join(differences)}): mine it with "
            "the same net and settings"
        )
    if not index.complete:
        raise DataError(
            f"{name} is not complete ({index.done} of {len(index.photos)} photos): run its command "
            "again to go on with it"
        )


def _unite_photos(indexes: Sequence[StrongestIndex], called: Sequence[str]) -> dict[str, int]:
    """Give the size of every photo by name."""
    sizes: dict[str, int] = {}
    homes: dict[str, str] = {}
    for name, index in zip(called, indexes, strict=True):
        for photo, size in zip(index.photos, index.sizes, strict=True):
            if photo in homes:
                raise DataError(
                    f"the photo {photo!r} is both in {homes[photo]} and in {name}: indexes of "
                    "disjoint photos are needed, named relative to one folder"
                )
            homes[photo], sizes[photo] = name, size
    return sizes


def _renumber(layer: LayerRanking, photos: Sequence[str], numbers: dict[str, int]) -> LayerRanking:
    """Give a ranking whose photos have the numbers of the joint list."""
    new = torch.tensor([*(numbers[photo] for photo in photos), -1])  # -1, an empty slot, stays
    return replace(layer, photos=new[layer.photos])
