"""Maps with windows pasted in, looked at through other windows; nothing is pasted for that."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.basics.devices import send

Corners = NDArray[np.int64]
"""Rows and columns of windows' upper left places, (K, 2)."""


def paste(whole: Tensor, windows: Tensor, corners: Corners) -> Tensor:
    """Give a batch in full, (K, C, h, w): windows in copies of a map (1, C, h, w).

    Example:
        >>> paste(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 1, 1), np.array([[0, 1]]))
        tensor([[[[0., 1.],
                  [0., 0.]]]])
    """
    height, width = whole.shape[-2:]
    return look(whole, windows, corners, np.zeros_like(corners), (height, width))


def look(
    whole: Tensor,
    windows: Tensor,
    corners: Corners,
    there: Corners,
    size: tuple[int, int],
    outside: float = 0.0,
) -> Tensor:
    """Look at a map (1, ..., h, w), with windows (K, ..., a, b) pasted in, through other windows.

    Args:
        whole: The map.
        windows: What takes its place in K copies of it.
        corners: Where they lie in it, (K, 2).
        there: Where to look, (K, 2).
        size: Height and width to look at.
        outside: What stands beyond the map.

    Returns:
        (K, ..., *size).
    """
    inner, extent = _find_extent(windows), _find_extent(whole)
    if size == inner and np.array_equal(corners, there):
        return windows
    shape, count = whole.shape[1:-2], len(there)
    # one row for each place of the map, then of the windows, then for what is beyond the map: with
    # the maps beside each other in memory a look copies whole rows
    table = torch.cat(
        [
            _list_places(whole),
            _list_places(windows),
            whole.new_full((1, math.prod(shape)), outside),
        ]
    )
    chosen = send(
        torch.from_numpy(_number_places(corners, inner, there, size, extent)), table.device
    )
    seen = table.index_select(0, chosen.view(-1)).view(count, *size, *shape)
    return seen.permute(0, *range(3, seen.ndim), 1, 2)


def _find_extent(maps: Tensor) -> tuple[int, int]:
    height, width = maps.shape[-2:]
    return height, width


def _list_places(maps: Tensor) -> Tensor:
    """Give the values of all maps place by place, (N * h * w, C)."""
    places = maps.flatten(1, -3).permute(0, 2, 3, 1)
    return places.reshape(-1, places.shape[-1])


def _number_places(
    corners: Corners,
    inner: tuple[int, int],
    there: Corners,
    size: tuple[int, int],
    extent: tuple[int, int],
) -> NDArray[np.int64]:
    """Give the number of each place that is looked at among those of map, windows and beyond."""
    (height, width), (inner_height, inner_width) = extent, inner
    rows = (there[:, :1] + np.arange(size[0]))[:, :, None]
    columns = (there[:, 1:] + np.arange(size[1]))[:, None, :]
    down, across = rows - corners[:, :1, None], columns - corners[:, 1:, None]
    hit = (down >= 0) & (down < inner_height) & (across >= 0) & (across < inner_width)
    within = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    number = np.arange(len(corners))[:, None, None]
    begin = height * width
    behind = begin + len(corners) * inner_height * inner_width
    in_window = begin + (number * inner_height + down) * inner_width + across
    return np.where(hit, in_window, np.where(within, rows * width + columns, behind))
