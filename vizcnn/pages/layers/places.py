"""Which places of which units are shown, and in what portions they are projected."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vizcnn.mining.index import LayerRanking, StrongestIndex
from vizcnn.pages.layers.layer_plans import LayerPlan

NOWHERE = -1
"""Photo number of a slot that shows nothing."""


@dataclass(frozen=True, eq=False)
class LayerPlaces:
    """The places of a layer's chosen units; one row per unit, strongest place first.

    Attributes:
        activations: (units, top), float32.
        photos: Photo numbers in the index, (units, top), int64; :data:`NOWHERE` for a slot that
            no photo fills.
        positions: Row and column in the feature map, (units, top, 2), int64.
    """

    activations: NDArray[np.float32]
    photos: NDArray[np.int64]
    positions: NDArray[np.int64]

    def count(self, row: int) -> int:
        """Count a unit's places: they come first in its row."""
        return int((self.photos[row] != NOWHERE).sum())


@dataclass(frozen=True)
class Part:
    """Some neighbouring units of a layer.

    Attributes:
        layer: Number of the layer.
        first: Row of the first unit among the layer's chosen ones.
        last: Row after the last.
    """

    layer: int
    first: int
    last: int


Portion = tuple[Part, ...]
"""Units whose projections are on the disk at a time."""


def choose_places(index: StrongestIndex, plan: LayerPlan, top: int) -> LayerPlaces:
    """Take the places of a layer's units out of an index.

    Where a unit puts out zero it answers to nothing: from there on the index names no places.
    Places below zero are taken only of units that are above zero nowhere.

    Args:
        index: A complete index that holds the layer.
        plan: The layer.
        top: Places per unit, at most as many as the index has.
    """
    ranking: LayerRanking = index.layers[plan.name]
    units = list(plan.units)
    values = ranking.values[units, :top].numpy()
    photos = ranking.photos[units, :top].numpy().copy()
    photos[np.cumsum((values == 0) | ~np.isfinite(values), axis=1) > 0] = NOWHERE
    # the picture of a place below zero is of what the unit is short of: not among the others
    photos[(values[:, :1] > 0) & (values < 0)] = NOWHERE
    return LayerPlaces(values, photos, ranking.positions[units, :top].numpy())


def list_photos(places: Sequence[LayerPlaces]) -> list[int]:
    """List the photos that some unit shows, by number, each once."""
    used = {int(number) for layer in places for number in np.unique(layer.photos)}
    return sorted(used - {NOWHERE})


def cut_portions(sizes: Sequence[tuple[int, int]], budget: int) -> list[Portion]:
    """Cut layers into portions that fit the disk, units and layers in order.

    Args:
        sizes: Number of units and bytes of a unit, per layer.
        budget: Bytes of a portion; one unit is taken whatever it needs.

    Example:
        >>> [[(p.layer, p.first, p.last) for p in portion]
        ...  for portion in cut_portions([(3, 10), (2, 25)], budget=50)]
        [[(0, 0, 3)], [(1, 0, 2)]]
    """
    portions: list[list[Part]] = [[]]
    left = budget
    for layer, (units, each) in enumerate(sizes):
        first = 0
        while first < units:
            fitting = min(left // each, units - first)
            if fitting < 1 and portions[-1]:
                portions.append([])
                left = budget
                continue
            count = max(fitting, 1)
            portions[-1].append(Part(layer, first, first + count))
            first, left = first + count, left - count * each
    return [tuple(portion) for portion in portions if portion]


def find_slots(places: LayerPlaces, part: Part, photos: Sequence[int]) -> NDArray[np.int64]:
    """Find the slots of a part that some photos fill.

    Args:
        places: The layer's places.
        part: The units.
        photos: Photo numbers, sorted.

    Returns:
        Index in ``photos``, row in the layer, and rank, (R, 3); by row, then rank.
    """
    block = places.photos[part.first : part.last]
    rows, ranks = np.nonzero(np.isin(block, photos))
    indices = np.searchsorted(photos, block[rows, ranks])
    return np.column_stack([indices, part.first + rows, ranks])
