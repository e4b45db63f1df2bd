"""Which places of which units are shown, and in what portions they are projected."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vizcnn.mining.index import LayerRanking, StrongestIndex, drop_silent
from vizcnn.pages.layers.layer_plans import LayerPlan

NOWHERE = -1
"""Photo number of a slot that shows nothing."""


@dataclass(frozen=True, eq=False)
class LayerPlaces:
    """The places of a layer's chosen units; one row per unit, in the order of their rank.

    First come the slots of the sheets, then, where there are ranges, one for each percentile.

    Attributes:
        activations: (units, slots), float32.
        photos: Photo numbers in the index, (units, slots), int64; :data:`NOWHERE` for a slot of
            which nothing is projected.
        positions: Row and column in the feature map, (units, slots, 2), int64.
        silent: The same of slots whose photos leave the unit at zero, so that there is nothing to
            project.
        top: How many slots are those of the sheets.
        largest: The largest size of an activation, of all the layer's chosen units.
        relevances: What places are ranked by, (units, top), float32; None with another rank.
    """

    activations: NDArray[np.float32]
    photos: NDArray[np.int64]
    positions: NDArray[np.int64]
    silent: NDArray[np.int64]
    top: int
    largest: float
    relevances: NDArray[np.float32] | None = None

    def find(self, row: int, slot: int) -> int:
        """Give the number of the photo that a slot shows, or :data:`NOWHERE`."""
        return int(max(self.photos[row, slot], self.silent[row, slot]))

    def list_slots(self, row: int) -> list[int]:
        """List the slots of a unit that show a photo, those of the sheets first."""
        shown = np.maximum(self.photos[row], self.silent[row]) != NOWHERE
        return [int(slot) for slot in np.flatnonzero(shown)]

    def count(self, row: int) -> int:
        """Count a unit's places in the sheets: they come first in its row."""
        return sum(slot < self.top for slot in self.list_slots(row))

    def take(self, row: int, shown: Sequence[int]) -> Self:
        """Take the places of one unit, of a set of photos that holds those alone.

        Args:
            row: The unit's row.
            shown: Numbers of the photos that it shows, sorted, in the order of that set.
        """
        one = slice(row, row + 1)
        return replace(
            self,
            activations=self.activations[one],
            photos=_renumber(self.photos[one], shown),
            positions=self.positions[one],
            silent=_renumber(self.silent[one], shown),
            relevances=None if self.relevances is None else self.relevances[one],
        )


def _renumber(photos: NDArray[np.int64], shown: Sequence[int]) -> NDArray[np.int64]:
    return np.where(photos == NOWHERE, NOWHERE, np.searchsorted(shown, photos))


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


def choose_places(
    index: StrongestIndex, plan: LayerPlan, top: int, ranges: bool = False
) -> LayerPlaces:
    """Take the places of a layer's units out of an index.

    Of the strongest places those are taken that :func:`~vizcnn.mining.index.drop_silent` leaves;
    those of no relevance, or of one against the true class, not at all. Of ranks that say of a
    photo what its maximum is, a zero is an answer: the photo is shown, and nothing of it projected.

    Args:
        index: A complete index that holds the layer.
        plan: The layer.
        top: Places per unit, at most as many as the index has.
        ranges: Whether to take the photos at percentiles, too.
    """
    ranking: LayerRanking = index.layers[plan.name]
    units, rank = list(plan.units), index.identity.rank
    values = ranking.values[units, :top].numpy()
    activations = ranking.strengths[units, :top].numpy()
    photos = ranking.photos[units, :top].numpy().copy()
    positions = ranking.positions[units, :top].numpy()
    silent = np.full_like(photos, NOWHERE)
    if rank == "activation":
        photos = drop_silent(values, photos)
    elif rank == "relevance":
        photos[~(values > 0)] = NOWHERE
    else:
        photos, silent = _part_silent(activations, photos)
    if ranges:
        held = index.ranges[plan.name]
        maxima = held.values[units].numpy()
        shown = held.photos[units].numpy()
        own, without = _part_silent(maxima, shown)
        without[maxima[:, -1] == 0] = NOWHERE  # a unit that is silent on all photos has no range
        own[maxima[:, -1] == 0] = NOWHERE
        activations = np.concatenate([activations, maxima], axis=1)
        photos = np.concatenate([photos, own], axis=1)
        silent = np.concatenate([silent, without], axis=1)
        positions = np.concatenate([positions, held.positions[units].numpy()], axis=1)
    relevances = values if rank == "relevance" else None
    largest = float(np.abs(activations[np.isfinite(activations)]).max(initial=0))
    return LayerPlaces(activations, photos, positions, silent, top, largest, relevances)


def _part_silent(
    maxima: NDArray[np.float32], photos: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Part photos by whether there is something of them to project."""
    is_zero = maxima == 0
    return np.where(is_zero, NOWHERE, photos), np.where(is_zero, photos, NOWHERE)


def list_photos(places: Sequence[LayerPlaces]) -> list[int]:
    """List the photos that some unit shows, by number, each once."""
    used = {
        int(number)
        for layer in places
        for shown in (layer.photos, layer.silent)
        for number in np.unique(shown)
    }
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
