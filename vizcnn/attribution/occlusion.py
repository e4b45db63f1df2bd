"""Occlusion: hide a square of the photo, and see by how much a unit's value falls."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vizcnn.attribution.gradients import AT_ONCE
from vizcnn.attribution.question import AttributionSettings, Question, find_fill
from vizcnn.attribution.readout import read_units
from vizcnn.basics.errors import ImageError

SHARE = 8
"""By default a square's side is so many times in the longer side of what the unit sees."""


ROUNDING = 1e-5
"""Share of a unit's value below which a drop is nothing but rounding."""


def drop_rounding(drops: Tensor, whole: Tensor) -> Tensor:
    """Take drops for zero that are smaller than what batches of other sizes round differently.

    They would be ranked like any other: a net that a square does not reach would agree with
    pictures by chance.

    Example:
        >>> drop_rounding(torch.tensor([1.2e-7, -0.1]), torch.tensor([1.5, 1.5])).tolist()
        [0.0, -0.10000000149011612]
    """
    return torch.where(drops.abs() > ROUNDING * whole.abs(), drops, 0.0)


@dataclass(frozen=True, eq=False)
class Drops:
    """By how much units fall where squares are hidden.

    Attributes:
        side: Side of the squares in pixels.
        squares: Row and column of each square's upper left pixel.
        values: Value on the photo minus value with the square hidden, (R, K), float64; positive
            where hiding hurts.
    """

    side: int
    squares: tuple[tuple[int, int], ...]
    values: Tensor


def choose_squares(question: Question, settings: AttributionSettings) -> tuple[int, int]:
    """Give side and stride of the hidden squares.

    Raises:
        ImageError: If a square is larger than the photo, or squares leave pixels between them.
    """
    size = question.pixels.shape[-1]
    top, left, bottom, right = question.box
    side = settings.side or max(round(max(bottom - top, right - left) / SHARE), 1)
    stride = settings.stride or (side + 1) // 2
    if side > size:
        raise ImageError(f"a square of side {side} does not fit the net's {size} px: give less")
    if stride > side:
        raise ImageError(
            f"a stride of {stride} px leaves pixels between squares of side {side} that are never "
            "hidden: give a stride of the side at most"
        )
    return side, stride


@torch.no_grad()
def measure_drops(question: Question, settings: AttributionSettings) -> Drops:
    """Hide squares one by one, and read the units.

    Squares begin at every stride, the last flush with the edge; those out of the units' receptive
    field are not tried, their drop is zero. All units are read from the same passes, which
    Captum's occlusion would repeat for each of them.

    Raises:
        ImageError: As of :func:`choose_squares`.
    """
    size = question.pixels.shape[-1]
    side, stride = choose_squares(question, settings)
    starts = _list_starts(size, side, stride)
    top, left, bottom, right = question.box
    squares = [
        (row, column)
        for row in starts
        for column in starts
        if row < bottom and row + side > top and column < right and column + side > left
    ]

    def read(pixels: Tensor) -> Tensor:
        values = read_units(
            question.model, pixels, question.layer, question.units, question.position
        )
        return values.double().cpu()

    photo = question.pixels.float().cpu()
    fill = find_fill(question.model, settings.fill)
    (whole,) = read(photo)
    drops = []
    for first in range(0, len(squares), AT_ONCE):
        some = squares[first : first + AT_ONCE]
        hidden = photo.repeat(len(some), 1, 1, 1)
        for image, (row, column) in zip(hidden, some, strict=True):
            image[:, row : row + side, column : column + side] = fill
        drops.append(drop_rounding(whole - read(hidden), whole))
    values = torch.cat(drops).T if drops else whole.new_zeros(len(whole), 0)
    return Drops(side, tuple(squares), values)


def hide_squares(question: Question, settings: AttributionSettings) -> Tensor:
    """Map where hiding the photo hurts: each pixel has the mean drop over squares that hide it.

    Returns:
        Maps (R, 1, S, S), signed.

    Raises:
        ImageError: As of :func:`choose_squares`.
    """
    drops, size = measure_drops(question, settings), question.pixels.shape[-1]
    side, stride = choose_squares(question, settings)
    sums = torch.zeros(len(question.units), size, size, dtype=torch.float64)
    for (row, column), value in zip(drops.squares, drops.values.T, strict=True):
        sums[:, row : row + side, column : column + side] += value[:, None, None]
    hits = torch.zeros(size, dtype=torch.float64)
    for start in _list_starts(size, side, stride):
        hits[start : start + side] += 1
    return (sums / (hits[:, None] * hits)).float()[:, None]


def _list_starts(size: int, side: int, stride: int) -> list[int]:
    return [*range(0, size - side, stride), size - side]
