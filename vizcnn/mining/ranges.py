"""What follows from the maxima of all photos: ranges of units, and the photos at their medians."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from vizcnn.mining.index import LayerRange, LayerRanking, StrongestIndex
from vizcnn.mining.maxima import LayerMaxima, Maxima
from vizcnn.mining.ranks import PERCENTILES

AT_ONCE = 256 << 20
"""Bytes that the maxima of some units may take together."""
BYTES = 4 + 4 + 4
"""Of a maximum: its value twice, and its place."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class _Picked:
    """Photos of some units: their numbers, the maxima, and the places of these; (units, K) each."""

    photos: Numbers
    values: NDArray[np.float32]
    spots: Numbers


def finish_index(index: StrongestIndex, maxima: Maxima) -> StrongestIndex:
    """Fill in what follows from the maxima of all photos.

    Args:
        index: A complete index that keeps maxima.
        maxima: These.

    Returns:
        The index with its ranges, and with the photos at the medians if those are its rank.
    """
    layers, ranges = dict(index.layers), {}
    count, top = len(index.photos) - len(index.failures), index.identity.top
    wanted = [*list_at_percentiles(count), *_list_at_median(count, top)]
    block = max(AT_ONCE // (BYTES * len(maxima)), 1)
    cut = len(PERCENTILES) if count else 0
    for name, layer in index.layers.items():
        picked, silent = [], []
        for _, found in maxima.cut(name, block):
            picked.append(_pick(found, wanted))
            silent.append(((found.values <= 0) & (found.values > -np.inf)).sum(axis=0))
        parts = [
            torch.from_numpy(np.concatenate([getattr(part, kind) for part in picked]))
            for kind in ("photos", "values", "spots")
        ]
        if index.identity.rank == "median":
            layers[name] = _rank_medians(layer, *(part[:, cut:] for part in parts))
        if index.identity.ranges:
            held = torch.from_numpy(np.concatenate(silent))
            ranges[name] = _make_range(layer, held, *(part[:, :cut] for part in parts))
    return replace(index, layers=layers, ranges=ranges)


def _pick(found: LayerMaxima, wanted: list[int]) -> _Picked:
    """Pick photos by their numbers in each unit's order: the strongest first.

    Equal ones go by the name of the photo. To sort the maxima alone and look each one that is
    wanted up takes a quarter of the time that it takes to sort the photos by them.
    """
    photos = np.zeros((found.values.shape[1], len(wanted)), np.int64)
    for unit, values in enumerate(np.ascontiguousarray(found.values.T)):
        rising = np.sort(values)
        for column, number in enumerate(wanted):
            value = rising[len(rising) - 1 - number]
            stronger = len(rising) - np.searchsorted(rising, value, side="right")
            photos[unit, column] = np.flatnonzero(values == value)[number - stronger]
    units = np.arange(len(photos))[:, None]
    spots = np.full_like(photos, -1)
    if found.spots is not None:
        spots = found.spots[photos, units].astype(np.int64)
    return _Picked(photos, found.values[photos, units], spots)


def _list_at_median(count: int, most: int) -> list[int]:
    """Give the numbers of the photos around the median in their order, the nearest first.

    Example:
        >>> _list_at_median(5, 4), _list_at_median(4, 9)
        ([2, 1, 3, 0], [2, 1, 3, 0])
    """
    middle = list_at_percentiles(count, [50])
    steps = (step for size in range(1, min(count, most) + 1) for step in (-size, size))
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


def _locate(spots: Tensor, layer: LayerRanking) -> Tensor:
    """Give rows and columns of places, (..., 2); -1 in a vector of units."""
    if layer.map_size is None:
        return torch.full((*spots.shape, 2), -1)
    return torch.stack([spots // layer.map_size[1], spots % layer.map_size[1]], dim=-1)


def _rank_medians(
    layer: LayerRanking, photos: Tensor, activations: Tensor, spots: Tensor
) -> LayerRanking:
    count = activations.shape[1]
    order = -torch.arange(count, dtype=torch.float32).expand(layer.units, -1) + 0.0
    missing = layer.values.shape[1] - count
    return replace(
        layer,
        values=pad(order, (0, missing), value=-torch.inf),
        activations=pad(activations, (0, missing), value=-torch.inf),
        photos=pad(photos, (0, missing), value=-1),
        positions=pad(_locate(spots, layer), (0, 0, 0, missing), value=-1),
    )


def _make_range(
    layer: LayerRanking, silent: Tensor, photos: Tensor, values: Tensor, spots: Tensor
) -> LayerRange:
    missing = len(PERCENTILES) - photos.shape[1]  # all of them where no photo could be read
    return LayerRange(
        pad(values, (0, missing), value=-torch.inf),
        pad(photos, (0, missing), value=-1),
        pad(_locate(spots, layer), (0, 0, 0, missing), value=-1),
        silent,
    )
