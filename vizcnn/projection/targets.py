"""Which units of which images, at which places of a layer, are to be projected."""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from io import IOBase
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vizcnn.basics.errors import LayerError, VizcnnError, as_number, check_number, quote

Position = Literal["max", "all"] | Sequence[int]
"""Where in a feature map: its maximum, the whole map, or (row, column); one number for each
dimension of the maps, as whole numbers of any kind."""

Units = int | str | Sequence[int | str]
"""Units as whole numbers of any kind, or by the names of classes; ``"top"``: the strongest."""


@dataclass(frozen=True)
class Targets:
    """Units to project, one row each.

    Attributes:
        images: Index of the image in the batch, (R,).
        units: Unit (feature map) numbers, (R,).
        positions: Row and column in the feature map, (R, 2); -1 for the whole map. In a net of
            signals or volumes a column for each dimension of its maps.
        activations: What the unit put out there, (R,); for a whole map its maximum.
        seeds: What a backward pass starts with there, (R,), for whole maps (R, h, w): the size of
            the activation, so that the picture of a unit below zero is that of the unit and not of
            minus it; a whole map is its own.
    """

    images: Tensor
    units: Tensor
    positions: Tensor
    activations: Tensor
    seeds: Tensor

    def __len__(self) -> int:
        return len(self.units)

    def take(self, rows: Tensor) -> "Targets":
        """Give some of the rows, in the order of their numbers.

        Raises:
            VizcnnError: If a row does not exist.
        """
        _check_whole("rows", rows)
        try:
            return Targets(
                self.images[rows],
                self.units[rows],
                self.positions[rows],
                self.activations[rows],
                self.seeds[rows],
            )
        except IndexError:
            raise VizcnnError(
                f"got {quote(rows)} as rows; needed: numbers below {len(self)}"
            ) from None


def join_targets(parts: Sequence[Targets]) -> Targets:
    """Join lists of targets of the same layer, one after the other."""
    return Targets(
        *(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Targets))
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
    found = re.fullmatch(r" *([0-9]{1,9}) *, *([0-9]{1,9}) *", text)
    if found:
        return int(found[1]), int(found[2])
    raise LayerError(f"position {quote(text)} is not known; needed: max, all, or ROW,COLUMN")


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
    count = check_number("count", count, -sys.maxsize, sys.maxsize)
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
    wanted = _list_units(units, values.shape[1])
    chosen = torch.tensor(wanted, dtype=torch.int64, device=values.device)
    return _make_targets(values, at, chosen.expand(len(values), -1), maps, position)


def _list_units(units: Any, count: int) -> list[int]:
    """List unit numbers, whatever whole numbers they are: of Python, numpy or torch."""
    units = _to_python(units)
    if isinstance(units, Tensor):  # it has no values that could be read
        raise LayerError(f"got {_describe(units)} as units; needed: whole numbers")
    several = isinstance(units, Iterable) and not isinstance(
        units, str | bytes | nn.Module | IOBase
    )
    listed = list(units) if several else [units]
    wanted = [as_number(number) for number in listed]
    if not wanted and several:
        raise LayerError(f"got {quote(units)}, no unit; needed: units 0..{count - 1}, or 'top'")
    for number, given in zip(wanted, listed, strict=True):
        if number is None or not 0 <= number < count:
            hint = "; names are those of classes, in a net's last layer"
            raise LayerError(
                f"unit {quote(given)} does not exist: the layer has units 0..{count - 1}, or 'top'"
                + (hint if isinstance(given, str) and given.isalpha() else "")
            )
    return [number for number in wanted if number is not None]


def choose_targets(
    maps: Tensor, unit: int | Sequence[int] | Literal["top"], position: Position, count: int
) -> Targets:
    """Take each image's strongest units for ``"top"``, else the units given."""
    if isinstance(unit, str) and unit == "top":
        return strongest(maps, count, position)
    return units_at(maps, unit, position)


def _look(maps: Tensor, position: Position) -> tuple[Tensor, Tensor]:
    """Give every unit's value (N, C), and its place in row order."""
    _check_maps(maps)
    size = _size_of(maps)
    flat = maps.detach().reshape(*maps.shape[:2], -1)
    if isinstance(position, str) and position in ("max", "all"):
        return flat.amax(dim=2), find_first_maximum(flat)
    index = 0
    for place, length in zip(_check_position(position, size), size, strict=True):
        index = index * length + place
    values = flat[:, :, index]
    return values, torch.full_like(values, index, dtype=torch.int64)


def _size_of(maps: Tensor) -> tuple[int, ...]:
    """Give the size of feature maps; a vector of units is taken for maps of one place."""
    return tuple(maps.shape[2:]) if maps.ndim > 2 else (1, 1)


def _make_targets(
    values: Tensor, at: Tensor, units: Tensor, maps: Tensor, position: Position
) -> Targets:
    """Make targets of units (N, K)."""
    chosen = at.gather(1, units).flatten()
    along: list[Tensor] = []
    for length in reversed(_size_of(maps)):  # not unravel_index, which loads sympy
        along.insert(0, chosen % length)
        chosen = chosen // length
    rows_columns = torch.stack(along, dim=1)
    whole = isinstance(position, str) and position == "all"
    images = torch.arange(len(maps), device=maps.device).repeat_interleave(units.shape[1])
    activations = values.gather(1, units).flatten()
    return Targets(
        images=images,
        units=units.flatten(),
        positions=torch.full_like(rows_columns, -1) if whole else rows_columns,
        activations=activations,
        seeds=maps.detach()[images, units.flatten()] if whole else activations.abs(),
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
    _check_maps(maps)
    for name, given in (("images", images), ("units", units), ("positions", positions)):
        _check_whole(name, given)
    size = _size_of(maps)
    grid = maps.view(*maps.shape[:2], *size) if maps.ndim == 2 else maps
    rows = positions if maps.ndim > 2 else torch.zeros_like(positions)
    rows_fit = images.shape == units.shape == positions.shape[:1]
    if not rows_fit or positions.shape[1:] != (len(size),):
        raise LayerError(
            f"got images {tuple(images.shape)}, units {tuple(units.shape)}, positions "
            f"{tuple(positions.shape)}; needed: (R,), (R,) and (R, {len(size)}) for maps of shape "
            f"{tuple(maps.shape)}"
        )
    indices = torch.column_stack([images, units, rows]).to(torch.int64).cpu()
    outside = ((indices < 0) | (indices >= torch.tensor(grid.shape))).any(dim=1)
    if outside.any():
        found = indices[outside][0].tolist()
        raise LayerError(
            f"image, unit, row, column {found} do not exist: the layer's output is "
            f"{' x '.join(map(str, grid.shape))}"
        )
    indices = indices.to(maps.device)
    values = grid[tuple(indices.unbind(1))].detach()
    return Targets(indices[:, 0], indices[:, 1], indices[:, 2:], values, values.abs())


def _to_python(value: Any) -> Any:
    """Give what numpy and torch hold as Python's own numbers and lists."""
    try:
        return value.tolist() if hasattr(value, "tolist") else value
    except Exception:  # without values, say
        return value


def _check_maps(maps: Any) -> None:
    """Make sure that something is feature maps, or a vector of units, of some images.

    Raises:
        LayerError: If it is not.
    """
    kind = isinstance(maps, Tensor) and not maps.is_meta and maps.layout == torch.strided
    if not kind or not maps.is_floating_point() or not 2 <= maps.ndim <= 5 or not maps.numel():
        raise LayerError(
            f"got {_describe(maps)} as maps; needed: feature maps (N, C, h, w) or units (N, C), "
            "floating-point numbers"
        )


def _check_whole(name: str, values: Any) -> None:
    """Make sure that something is a tensor of whole numbers.

    Raises:
        LayerError: If it is not.
    """
    kind = isinstance(values, Tensor) and not values.is_meta and values.layout == torch.strided
    if not kind or values.dtype not in _WHOLE:
        raise LayerError(f"got {_describe(values)} as {name}; needed: a tensor of whole numbers")


_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype} of shape {tuple(value.shape)} on {value.device}"
    return quote(value)


def _check_position(position: Any, size: tuple[int, ...]) -> list[int]:
    given, position = position, _to_python(position)
    if isinstance(position, Sequence) and not isinstance(position, str | bytes):
        numbers = [as_number(value) for value in position]
        ends = zip(numbers, size, strict=False)
        inside = [number for number, end in ends if number is not None and 0 <= number < end]
        if len(inside) == len(numbers) == len(size):
            return inside
    names = ("row", "column") if len(size) == 2 else tuple(f"place {k}" for k in range(len(size)))
    needed = " and ".join(f"{name} 0..{n - 1}" for name, n in zip(names, size, strict=True))
    raise LayerError(
        f"position {quote(given)} is not in the {' x '.join(map(str, size))} feature map; needed: "
        f"'max', 'all' or ({', '.join(names)}) with {needed}"
    )
