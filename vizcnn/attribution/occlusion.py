"""Occlusion: hide a square of the photo, and see by how much a unit's value falls."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.attribution.hidden_passes import HiddenPasses, Reading, Squares
from vizcnn.attribution.question import AttributionSettings, Fill, Question, find_fill
from vizcnn.basics.errors import ImageError
from vizcnn.photos.pixels import Array
from vizcnn.zoo.model import ZooModel

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


def sum_squares(values: Array, squares: Squares) -> NDArray[np.float64]:
    """Sum values (S, S) of a photo's pixels over each square: (K,).

    Example:
        >>> sum_squares(np.ones((4, 4), dtype=np.float32), Squares(2, ((0, 0), (1, 2)))).tolist()
        [4.0, 4.0]
    """
    side = squares.side
    return np.array(
        [
            values[row : row + side, column : column + side].sum(dtype=np.float64)
            for row, column in squares.corners
        ]
    )


def choose_squares(question: Question, settings: AttributionSettings) -> tuple[int, int]:
    """Give side and stride of the hidden squares.

    Raises:
        ImageError: If a square is larger than the photo, or squares leave pixels between them.
    """
    size = question.pixels.shape[-1]
    top, left, bottom, right = question.box
    side = settings.side or max(round(max(bottom - top, right - left) / SHARE), 1)
    stride = settings.stride or (side + 1) // 2
    check_squares(size, side, stride)
    return side, stride


def check_squares(size: int, side: int, stride: int) -> None:
    """Make sure that squares fit a photo and hide all of it.

    Args:
        size: Shorter side of the photo in pixels.
        side: Side of the squares.
        stride: Pixels from one to the next.

    Raises:
        ImageError: If they do not.
    """
    if side > size:
        raise ImageError(f"a square of side {side} does not fit the net's {size} px: give less")
    if stride > side:
        raise ImageError(
            f"a stride of {stride} px leaves pixels between squares of side {side} that are never "
            "hidden: give a stride of the side at most"
        )


def list_squares(question: Question, settings: AttributionSettings) -> Squares:
    """List the squares that the units see anything of.

    Squares begin at every stride, the last flush with the edge.

    Raises:
        ImageError: As of :func:`choose_squares`.
    """
    side, stride = choose_squares(question, settings)
    starts = list_starts(question.pixels.shape[-1], side, stride)
    top, left, bottom, right = question.box
    return Squares(
        side,
        tuple(
            (row, column)
            for row in starts
            for column in starts
            if row < bottom and row + side > top and column < right and column + side > left
        ),
    )


@torch.no_grad()
def measure_drops(
    model: ZooModel,
    pixels: Tensor,
    layer: str,
    units: Tensor,
    position: tuple[int, int],
    squares: Squares,
    fill: Fill,
) -> Tensor:
    """Hide squares one by one, and read units.

    All units are read from the same passes, which Captum's occlusion would repeat for each.

    Args:
        model: A net of the zoo.
        pixels: A photo, (1, 3, S, S), RGB 0..1.
        layer: Canonical name or module path.
        units: Numbers of R units.
        position: Row and column in their maps.
        squares: K squares.
        fill: What they are filled with.

    Returns:
        Values on the photo minus those with the squares hidden, (R, K), float64, on the CPU;
        positive where hiding hurts.
    """
    photo = pixels.float().cpu()
    colour = find_fill(model, fill)[None].to(photo).expand_as(photo)
    passes = HiddenPasses(model, photo, squares, colour, layer, units, position)
    whole = _read_values(passes.read_photo())
    drops = [drop_rounding(whole - _read_values(reading), whole) for _, reading in passes.run()]
    return torch.cat(drops).T if drops else whole.new_zeros(whole.shape[1], 0)


def _read_values(reading: Reading) -> Tensor:
    assert reading.values is not None
    return reading.values.double().cpu()


def hide_squares(question: Question, settings: AttributionSettings) -> Tensor:
    """Map where hiding the photo hurts: each pixel has the mean drop over squares that hide it.

    Squares out of the units' sight are not tried: their drop is zero.

    Returns:
        Maps (R, 1, S, S), signed.

    Raises:
        ImageError: As of :func:`choose_squares`.
    """
    squares, size = list_squares(question, settings), question.pixels.shape[-1]
    drops = measure_drops(
        question.model,
        question.pixels,
        question.layer,
        question.units,
        question.position,
        squares,
        settings.fill,
    )
    side, stride = choose_squares(question, settings)
    sums = torch.zeros(len(question.units), size, size, dtype=torch.float64)
    for (row, column), value in zip(squares.corners, drops.T, strict=True):
        sums[:, row : row + side, column : column + side] += value[:, None, None]
    hits = torch.zeros(size, dtype=torch.float64)
    for start in list_starts(size, side, stride):
        hits[start : start + side] += 1
    return (sums / (hits[:, None] * hits)).float()[:, None]


def list_starts(size: int, side: int, stride: int) -> list[int]:
    """List where squares begin: at every stride, the last flush with the edge.

    Example:
        >>> list_starts(10, 4, 4)
        [0, 4, 6]
    """
    return [*range(0, size - side, stride), size - side]
