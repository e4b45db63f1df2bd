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


def strongest(maps: Tensor, count: int = 9, position: Position = "max") -> Targets:
    """Take each image's strongest units.

    Args:
        maps: Feature maps (N, C, h, w) or units (N, C).
        count: How many.
        position: ``"max"``, (row, column) or ``"all"``: where they are looked at.

    Returns:
        The targets, by image, the strongest first. Ties go to the lower unit and to the first place
        in row order.

    Raises:
        LayerError: If the position lies outside the maps.

    Example:
        >>> targets = strongest(torch.tensor([[[[1.0, 3.0]], [[5.0, 2.0]]]]))
        >>> targets.units, targets.positions, targets.activations
        (tensor([1, 0]), tensor([[0, 0],
                [0, 1]]), tensor([5., 3.]))
    """
    values, at = _look(maps, position)
    order = values.sort(dim=1, descending=True, stable=True).indices
    return _make_targets(values, at, order[:, : max(count, 0)], maps, position)


def units_at(maps: Tensor, units: int | Sequence[int], position: Position = "max") -> Targets:
    """Take given units of every image.

    Args:
        maps: Feature maps (N, C, h, w) or units (N, C).
        units: Unit number, or several.
        position: ``"max"`` (where each is strongest), (row, column) or ``"all"``.

    Returns:
        The targets, by image, the units in the order given.

    Raises:
        LayerError: If a unit or the position lies outside the maps.
    """
    values, at = _look(maps, position)
    several = isinstance(units, Sequence) and not isinstance(units, str)
    wanted = list(units) if several else [units]  # type: ignore[arg-type]
    for number in wanted:
        if type(number) is not int or not 0 <= number < values.shape[1]:
            raise LayerError(
                f"unit {number!r} does not exist: the layer has units 0..{values.shape[1] - 1}, or "
                "'top'"
            )
    chosen = torch.tensor(wanted, dtype=torch.int64, device=values.device)
    return _make_targets(values, at, chosen.expand(len(values), -1), maps, position)


def choose_targets(
    maps: Tensor, unit: int | Sequence[int] | Literal["top"], position: Position, count: int
) -> Targets:
    """Take each image's strongest units for ``"top"``, else the units given."""
    if isinstance(unit, str) and unit == "top":
        return strongest(maps, count, position)
    return units_at(maps, unit, position)


def _look(maps: Tensor, position: Position) -> tuple[Tensor, Tensor]:
    """Give every unit's value (N, C), and its place in row order."""
    maps = maps.detach()
    grid = maps if maps.ndim == 4 else maps[:, :, None, None]
    height, width = grid.shape[2:]
    if position in ("max", "all"):
        flat = grid.flatten(2)
        return flat.amax(dim=2), find_first_maximum(flat)
    row, column = _check_position(position, height, width)
    values = grid[:, :, row, column]
    return values, torch.full_like(values, row * width + column, dtype=torch.int64)


def _make_targets(
    values: Tensor, at: Tensor, units: Tensor, maps: Tensor, position: Position
) -> Targets:
    """Make targets of units (N, K)."""
    chosen, width = at.gather(1, units).flatten(), maps.shape[3] if maps.ndim == 4 else 1
    rows_columns = torch.stack([chosen // width, chosen % width], dim=1)
    return Targets(
        images=torch.arange(len(maps), device=maps.device).repeat_interleave(units.shape[1]),
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


def places(maps: Tensor, images: Tensor, units: Tensor, positions: Tensor) -> Targets:
    """Take places of your choice, each row another image, unit and place.

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
