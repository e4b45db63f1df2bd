"""How filters are shown: which part of them, at which contrast, in which order."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vizcnn.filters.numbers import FilterNumbers
from vizcnn.tiles import Array, grid_columns, lay_out_grid

FilterScaling = Literal["unit", "shared", "zf"]
"""Contrast: each filter's own, one for all with zero as mid grey, or ZF's own."""

Order = Literal["index", "orientation", "frequency", "energy"]
"""What filters are sorted by."""

ZOOM = 3
"""Pixels per weight in a block of kernels: the gaps between them are then thinner than a weight."""

SCALING_WORDS: Mapping[FilterScaling, str] = {
    "unit": "zero is mid grey; full contrast: each filter's own largest |weight|",
    "shared": "zero is mid grey; full contrast: the layer's largest |weight|",
    "zf": "one scale for all: the layer's smallest weight is black, its largest white (the paper "
    "does not state its own; only one scale lets one feature dominate, as in its Figure 6 a)",
}
"""Scalings in words, for captions."""

ORDER_WORDS: Mapping[Order, str] = {
    "index": "",
    "orientation": "sorted by orientation of the bars, anticlockwise from the horizontal; "
    "those without one last",
    "frequency": "sorted by peak frequency, lowest first",
    "energy": "sorted by energy, largest first",
}


def scale_filters(weight: Tensor, scaling: FilterScaling) -> Tensor:
    """Scale a layer's filters for showing.

    Args:
        weight: (F, C, h, w), the whole layer.
        scaling: ``"unit"``: each by its own largest absolute weight, zero as mid grey;
            ``"shared"``: all by the layer's; ``"zf"``: one affine map for the whole layer, its
            smallest weight black and its largest white. Zeiler & Fergus 2013 (arXiv 1311.2901) do
            not state their scaling, but their Figure 6 (a), where "one feature dominates", can
            only come out with one scale for all filters.

    Returns:
        (F, C, h, w), float32, 0..1; mid grey where there is no contrast.

    Example:
        >>> weight = torch.tensor([[1.0, -2.0], [6.0, 0.0]]).view(2, 1, 1, 2)
        >>> [scale_filters(weight, s).flatten().tolist() for s in ("unit", "shared", "zf")]
        [[0.75, 0.0, 1.0, 0.5], [0.583..., 0.333..., 1.0, 0.5], [0.375, 0.0, 1.0, 0.25]]
    """
    values = weight.double()
    if scaling == "zf":
        smallest = values.min()
        middle, limit = (values.max() + smallest) / 2, (values.max() - smallest) / 2
    else:
        dims = (1, 2, 3) if scaling == "unit" else (0, 1, 2, 3)
        middle, limit = torch.zeros(()), values.abs().amax(dim=dims, keepdim=True)
    # without contrast: zero over anything
    return (0.5 + (values - middle) / (2 * limit.clamp(min=1e-300))).clamp(0, 1).float()


def sort_filters(numbers: FilterNumbers, order: Order) -> list[int]:
    """Give the numbers of filters in the order in which they are shown.

    Args:
        numbers: The filters' measures.
        order: ``"index"``; ``"orientation"`` of the bars from 0 to 180 degrees, filters without
            one after them; ``"frequency"``: lowest peak first; ``"energy"``: largest first. In
            the order of orientation or frequency dead filters come last of all. Ties by index.
    """
    keys: dict[Order, Tensor] = {
        "index": torch.zeros_like(numbers.energy),
        "orientation": numbers.orientation.nan_to_num(nan=360.0),
        "frequency": numbers.peak,
        "energy": -numbers.energy,
    }
    key = keys[order].clone()
    if order in ("orientation", "frequency"):
        key[numbers.dead] = torch.inf
    return sorted(range(len(key)), key=lambda index: (key[index].item(), index))


def show_colours(shown: Tensor, grey: bool = False) -> list[Array]:
    """Turn scaled filters (F, 3, h, w), or (F, 1, h, w) if grey, into images (h, w, 3)."""
    colours = shown.expand(-1, 3, -1, -1) if grey else shown
    return [filter.permute(1, 2, 0).numpy() for filter in colours]


def show_channels(shown: Tensor) -> list[Array]:
    """Turn scaled filters into blocks: a grid of the kernels of each filter's input channels.

    Args:
        shown: (F, C, h, w), 0..1.

    Returns:
        A grey image (H, W, 3) per filter; the channels in rows, three pixels per weight and one
        of white between kernels. Kernels of 1 x 1 touch: the block is then a table of weights.

    Example:
        >>> show_channels(torch.zeros(2, 96, 5, 5))[0].shape  # 12 columns and 8 rows
        (127, 191, 3)
    """
    columns = grid_columns(shown.shape[1])
    gap = 1 if max(shown.shape[2:]) > 1 else 0
    large = shown.repeat_interleave(ZOOM, dim=2).repeat_interleave(ZOOM, dim=3)
    images: Array = np.repeat(large.numpy()[..., None], 3, axis=4)
    return [lay_out_grid(list(kernels), columns, gap) for kernels in images]
