"""Units of a layer that answer to the same photos: neighbours by what an index ranks first."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vizcnn.mining.index import LayerRanking, drop_silent

NOBODY = -1
"""Number of a unit where there are fewer neighbours."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The neighbours of each of a layer's units, U units and K neighbours.

    Attributes:
        units: Their numbers, most shared photos first, equal ones by number, (U, K), int64;
            :data:`NOBODY` where no further unit shares a photo.
        shared: How many photos they share, (U, K), int64.
        photos: How many different photos each unit has among its strongest, (U,), int64.
    """

    units: NDArray[np.int64]
    shared: NDArray[np.int64]
    photos: NDArray[np.int64]


def find_neighbours(ranking: LayerRanking, top: int = 9, count: int = 5) -> Neighbours:
    """Find the units whose strongest photos are most alike.

    Args:
        ranking: A layer's strongest places.
        top: Places of each unit that count.
        count: Neighbours of each unit, at most.

    Example:
        >>> import torch
        >>> photos = torch.tensor([[0, 1], [1, 0], [1, 2]])
        >>> ones = torch.ones(3, 2)
        >>> ranking = LayerRanking("conv1", "1", None, ones, photos, torch.zeros(3, 2, 2))
        >>> found = find_neighbours(ranking, count=2)
        >>> found.units.tolist(), found.shared.tolist()
        ([[1, 2], [0, 2], [0, 1]], [[2, 1], [2, 1], [1, 1]])
    """
    photos = drop_silent(ranking.values[:, :top].numpy(), ranking.photos[:, :top].numpy())
    answering: dict[int, list[int]] = {}
    for unit, row in enumerate(photos.tolist()):
        for photo in set(row) - {-1}:
            answering.setdefault(photo, []).append(unit)
    shared = np.zeros((ranking.units, ranking.units), np.int64)
    for units in answering.values():
        shared[np.ix_(units, units)] += 1
    own = shared.diagonal().copy()
    np.fill_diagonal(shared, 0)
    order = np.argsort(-shared, axis=1, kind="stable")[:, :count]
    counts = np.take_along_axis(shared, order, axis=1)
    return Neighbours(np.where(counts > 0, order, NOBODY), counts, own)
