"""Occlusion: hide a square of the photo, and see by how much a unit's value falls."""

import torch
from torch import Tensor

from vizcnn.attribution.gradients import AT_ONCE
from vizcnn.attribution.question import AttributionSettings, Question, find_fill
from vizcnn.attribution.readout import read_units
from vizcnn.basics.errors import ImageError


def choose_squares(settings: AttributionSettings, size: int) -> tuple[int, int]:
    """Give side and stride of the hidden squares for a photo of so many pixels.

    Raises:
        ImageError: If the square is larger than the photo, or squares leave pixels between them.

    Example:
        >>> choose_squares(AttributionSettings(), 128)
        (16, 8)
    """
    side = settings.side or max(size // 8, 1)
    stride = settings.stride or max(side // 2, 1)
    if side > size:
        raise ImageError(f"a square of side {side} does not fit the net's {size} px: give less")
    if stride > side:
        raise ImageError(
            f"a stride of {stride} px leaves pixels between squares of side {side} that are never "
            "hidden: give a stride of the side at most"
        )
    return side, stride


@torch.no_grad()
def hide_squares(question: Question, settings: AttributionSettings) -> Tensor:
    """Hide squares one by one; a pixel's value is the mean drop over the squares that hide it.

    Positive where hiding hurts the unit. Squares begin at every stride, the last flush with the
    edge; those out of the unit's receptive field are not tried, their drop is zero. All units are
    read from the same passes, which Captum's occlusion would repeat for each of them.

    Returns:
        Maps (R, 1, S, S), signed.

    Raises:
        ImageError: As of :func:`choose_squares`.
    """
    size = question.pixels.shape[-1]
    side, stride = choose_squares(settings, size)
    starts = [*range(0, size - side, stride), size - side]
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
    whole = read(photo)[0]
    drops = torch.zeros(len(question.units), size, size, dtype=torch.float64)
    for first in range(0, len(squares), AT_ONCE):
        some = squares[first : first + AT_ONCE]
        hidden = photo.repeat(len(some), 1, 1, 1)
        for image, (row, column) in zip(hidden, some, strict=True):
            image[:, row : row + side, column : column + side] = fill
        for (row, column), value in zip(some, read(hidden), strict=True):
            drops[:, row : row + side, column : column + side] += (whole - value)[:, None, None]
    hits = torch.zeros(size, dtype=torch.float64)
    for start in starts:
        hits[start : start + side] += 1
    return (drops / (hits[:, None] * hits)).float()[:, None]
