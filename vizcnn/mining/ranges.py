"""What follows from the maxima of all photos: ranges of units, and the photos at their medians."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.mining.index import LayerRange, LayerRanking, StrongestIndex
from vizcnn.mining.maxima import LayerMaxima, Maxima
from vizcnn.mining.ranks import PERCENTILES

AT_ONCE = 256 << 20
"""Bytes that the maxima of some units, and their order, may take together."""
BYTES = 4 + 4 + 4 + 8
"""Of a maximum: its value, place, value to sort by, and number in the order."""

Numbers = NDArray[np.int64]


def finish_index(index: StrongestIndex, maxima: Maxima) -> StrongestIndex:
    """Fill in what follows from the maxima of all photos.

    Args:
        index: A complete index that keeps maxima.
        maxima: These.

    Returns:
        The index with its ranges, and with the photos at the medians if those are its rank.
    """
    layers, ranges = dict(index.layers), {}
    for name, layer in index.layers.items():
        parts = list(_sort(layer, maxima))
        if index.identity.rank == "median":
            layers[name] = _join_medians(layer, parts)
        if index.identity.ranges:
            ranges[name] = _join_ranges(layer, parts)
    return replace(index, layers=layers, ranges=ranges)


@torch.no_grad()
def _sort(layer: LayerRanking, maxima: Maxima) -> Iterator["_Sorted"]:
    top = layer.values.shape[1]
    block = max(AT_ONCE // (BYTES * len(maxima)), 1)
    for _, found in maxima.cut(layer.name, block):
        values = np.ascontiguousarray(found.values.T)
        # the strongest first, equal ones by the name of the photo; those that have none go last
        order = np.argsort(-values, axis=1, kind="stable")
        count = int((values[0] > -np.inf).sum())
        yield _Sorted(
            _take(found, values, order, _list_at_median(count, top)),
            _take(found, values, order, list_at_percentiles(count)),
            ((values <= 0) & (values > -np.inf)).sum(axis=1),
        )


class _Sorted:
    """What is kept of some units."""

    def __init__(self, median: "_Picked", percentiles: "_Picked", silent: Numbers) -> None:
        self.median, self.percentiles, self.silent = median, percentiles, silent


class _Picked:
    """Photos of some units: maxima, numbers of the photos, places; (units, K) each."""

    def __init__(self, values: NDArray[np.float32], photos: Numbers, spots: Numbers) -> None:
        self.values, self.photos, self.spots = values, photos, spots


def _list_at_median(count: int, most: int) -> list[int]:
    """Give the numbers of the photos around the median in their order, the nearest first.

    Example:
        >>> _list_at_median(5, 4), _list_at_median(4, 9)
        ([2, 1, 3, 0], [2, 1, 3, 0])
    """
    middle = list_at_percentiles(count, [50])
    steps = (step for size in range(1, count + 1) for step in (-size, size))
    near = (number + step for number in middle for step in steps)
    return [*middle, *(number for number in near if 0 <= number < count)][:most]


def list_at_percentiles(
    count: int, percentiles: tuple[int, ...] | list[int] = PERCENTILES
) -> list[int]:
    """Give the numbers of the photos at percentiles in an order from the strongest on.

    Args:
        count: How many photos there are.
        percentiles: Of these, counted from the weakest.

    Returns:
        A number each; none if there are no photos.

    Example:
        >>> list_at_percentiles(101, [0, 50, 99, 100]), list_at_percentiles(4, [0, 25, 26])
        ([100, 50, 1, 0], [3, 3, 2])
    """
    return [count - max(-(-count * percent // 100), 1) for percent in percentiles if count]


def _take(
    found: LayerMaxima, values: NDArray[np.float32], order: Numbers, numbers: list[int]
) -> _Picked:
    photos = order[:, numbers]
    spots = np.full_like(photos, -1)
    if found.spots is not None:
        spots = np.take_along_axis(found.spots.T, photos, axis=1).astype(np.int64)
    return _Picked(np.take_along_axis(values, photos, axis=1), photos, spots)


def _locate(spots: Tensor, layer: LayerRanking) -> Tensor:
    """Give rows and columns of places, (..., 2); -1 in a vector of units."""
    if layer.map_size is None:
        return torch.full((*spots.shape, 2), -1)
    return torch.stack([spots // layer.map_size[1], spots % layer.map_size[1]], dim=-1)


def _join(parts: list[_Picked]) -> tuple[Tensor, Tensor, Tensor]:
    values, photos, spots = (
        torch.from_numpy(np.concatenate([getattr(part, name) for part in parts])).contiguous()
        for name in ("values", "photos", "spots")
    )
    return values, photos, spots


def _join_medians(layer: LayerRanking, parts: list[_Sorted]) -> LayerRanking:
    activations, photos, spots = _join([part.median for part in parts])
    count = activations.shape[1]
    order = -torch.arange(count, dtype=torch.float32).expand(layer.units, -1) + 0.0
    missing = layer.values.shape[1] - count
    pad = torch.nn.functional.pad
    return replace(
        layer,
        values=pad(order, (0, missing), value=-torch.inf),
        activations=pad(activations, (0, missing), value=-torch.inf),
        photos=pad(photos, (0, missing), value=-1),
        positions=pad(_locate(spots, layer), (0, 0, 0, missing), value=-1),
    )


def _join_ranges(layer: LayerRanking, parts: list[_Sorted]) -> LayerRange:
    values, photos, spots = _join([part.percentiles for part in parts])
    positions = _locate(spots, layer)
    silent = torch.from_numpy(np.concatenate([part.silent for part in parts]))
    if not values.shape[1]:  # of no photo that could be read
        shape = (layer.units, len(PERCENTILES))
        values = torch.full(shape, -torch.inf)
        photos, positions = torch.full(shape, -1), torch.full((*shape, 2), -1)
    return LayerRange(values, photos, positions, silent)
