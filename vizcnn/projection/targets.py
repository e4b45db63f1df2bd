"""Which units of which images, at which places of a layer, are to be projected."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vizcnn.basics.errors import LayerError

Position = Literal["max", "all"] | tuple[int, int]
"""Where in a feature map: its maximum, the whole map, or (row, column)."""


@dataclass(frozen=True)
class Targets:
    """Units to project, one row each.

    Attributes:
        images: Index of the image in the batch, (R,).
        units: Unit (feature map) numbers, (R,).
        positions: Row and column in the feature map, (R, 2); -1 for the whole map.
        activations: What the unit put out there, (R,); for a whole map its maximum.
    """

    images: Tensor
    units: Tensor
    positions: Tensor
    activations: Tensor

    def __len__(self) -> int:
        return len(self.units)

    def take(self, rows: Tensor) -> "Targets":
        """Give some of the rows, in the order of their numbers."""
        return Targets(
            self.images[rows], self.units[rows], self.positions[rows], self.activations[rows]
        )


def parse_position(text: str) -> Position:
    """Read a position from text: ``max``, ``all`` or ``ROW,COLUMN``.

    Raises:
        LayerError: If it is none of these.

    Example:
        >>> parse_position("3,7")
        (3, 7)
    """
    if text == "max":
        return "max"
    if text == "all":
        return "all"
    row, _, column = text.partition(",")
    if row.strip().isdigit() and column.strip().isdigit():
        return int(row), int(column)
    raise LayerError(f"position {text!r} is not known; needed: max, all, or ROW,COLUMN")


def choose_targets(
    maps: Tensor, unit: int | Sequence[int] | Literal["top"], position: Position, count: int
) -> Targets:
    """Settle which units of which images at which places are meant.

    Args:
        maps: Feature maps (N, C, h, w) or units (N, C).
        unit: Unit number, several, or ``"top"``.
        position: ``"max"``, (row, column) or ``"all"``.
        count: How many units ``"top"`` takes.

    Returns:
        The targets, by image, then unit. Ties go to the lower unit and to the first place in row
        order.

    Raises:
        LayerError: If a unit or the position lies outside the maps.
    """
    grid = maps if maps.ndim == 4 else maps[:, :, None, None]
    images, _, height, width = grid.shape
    flat = grid.flatten(2)
    if position not in ("max", "all"):
        row, column = _check_position(position, height, width)
        values = grid[:, :, row, column]
        places = torch.full_like(values, row * width + column, dtype=torch.int64)
    else:
        values, places = flat.amax(dim=2), find_first_maximum(flat)
    units = _choose_units(values, unit, count)
    chosen = places.gather(1, units).flatten()
    rows_columns = torch.stack([chosen // width, chosen % width], dim=1)
    return Targets(
        images=torch.arange(images, device=maps.device).repeat_interleave(units.shape[1]),
        units=units.flatten(),
        positions=torch.full_like(rows_columns, -1) if position == "all" else rows_columns,
        activations=values.gather(1, units).flatten(),
    )


def find_first_maximum(flat: Tensor) -> Tensor:
    """Give the place of the maximum along the last axis; of several equal ones the first.

    Example:
        >>> find_first_maximum(torch.tensor([[1, 3, 3]]))
        tensor([1])
    """
    # argmax does not say which of several equal maxima it takes; the first is the first True
    return (flat == flat.amax(dim=-1, keepdim=True)).to(torch.uint8).argmax(dim=-1)


def place_targets(maps: Tensor, images: Tensor, units: Tensor, positions: Tensor) -> Targets:
    """Make targets of given places, one row each.

    Args:
        maps: Feature maps (N, C, h, w) or units (N, C).
        images: Index of the image in the batch, (R,).
        units: Unit numbers, (R,).
        positions: Row and column in the feature map, (R, 2); of a layer without places ignored.

    Raises:
        LayerError: If the tensors are not of these shapes, or one points outside the maps.
    """
    grid = maps if maps.ndim == 4 else maps[:, :, None, None]
    rows = positions if maps.ndim == 4 else torch.zeros_like(positions)
    if any(place.is_floating_point() for place in (images, units, positions)):
        raise LayerError(
            f"got places of {images.dtype}, {units.dtype}, {positions.dtype}; needed: whole numbers"
        )
    if not images.shape == units.shape == positions.shape[:1] or positions.shape[1:] != (2,):
        raise LayerError(
            f"got images {tuple(images.shape)}, units {tuple(units.shape)}, positions "
            f"{tuple(positions.shape)}; needed: (R,), (R,) and (R, 2)"
        )
    indices = torch.column_stack([images, units, rows]).to(torch.int64).cpu()
    outside = ((indices < 0) | (indices >= torch.tensor(grid.shape))).any(dim=1)
    if outside.any():
        found = indices[outside][0].tolist()
        raise LayerError(
            f"image, unit, row, column {found} do not exist: the layer's output is "
            f"{' x '.join(map(str, grid.shape))}"
        )
    image, unit, row, column = indices.to(maps.device).unbind(1)
    return Targets(
        image, unit, torch.column_stack([row, column]), grid[image, unit, row, column].detach()
    )


def _check_position(position: Position, height: int, width: int) -> tuple[int, int]:
    if isinstance(position, tuple) and [type(value) for value in position] == [int, int]:
        row, column = position
        if 0 <= row < height and 0 <= column < width:
            return row, column
    raise LayerError(
        f"position {position!r} is not in the {height} x {width} feature map; needed: 'max', 'all' "
        f"or (row, column) with row 0..{height - 1} and column 0..{width - 1}"
    )


def _choose_units(values: Tensor, unit: int | Sequence[int] | Literal["top"], count: int) -> Tensor:
    """Give unit numbers (N, K) from the units' values (N, C)."""
    images, channels = values.shape
    if unit == "top":
        order = values.sort(dim=1, descending=True, stable=True).indices
        return order[:, : max(min(count, channels), 0)]
    several = isinstance(unit, Sequence) and not isinstance(unit, str)
    wanted = list(unit) if several else [unit]  # type: ignore[arg-type]
    for number in wanted:
        if type(number) is not int or not 0 <= number < channels:
            raise LayerError(
                f"unit {number!r} does not exist: the layer has units 0..{channels - 1}, or 'top'"
            )
    return torch.tensor(wanted, dtype=torch.int64, device=values.device).expand(images, -1)
