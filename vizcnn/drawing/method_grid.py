"""Photos by methods: what each method says of the same unit, with numbers below each column."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from vizcnn.drawing.panels import show_panel
from vizcnn.drawing.sheet import LINE, MARGIN, QUIET, SLIDE_WIDTH, Sheet, fit_slide
from vizcnn.drawing.style import find_style, plain_style, scale_letters, tone
from vizcnn.drawing.tiles import GREY, robust_limit, scale_signed
from vizcnn.photos.pixels import Array

COLD, WARM = (0.02, 0.13, 0.55), (1.0, 0.87, 0.25)
"""Colours of the ends of the scale of maps, below and above zero: darker and lighter than grey."""
LETTERS, NUMBERS = 8.5, 9.5
"""Sizes of labels, and of the numbers below columns, in points."""
GAP = 0.05
"""Inches between columns."""
FEW_ROWS = 2
"""Photos up to which columns stand in two bands, and are twice as wide."""
BAR = (2.6, 0.12)
"""Width and height of the colour bar in inches."""


@dataclass(frozen=True)
class GridColumn:
    """A method.

    Attributes:
        title: Its name, in one line or two.
        numbers: What stands below the column, a text for each line of the grid.
    """

    title: str
    numbers: tuple[str, ...]


@dataclass(frozen=True)
class GridRow:
    """A photo, and what each method says of a unit on it.

    Attributes:
        photo: What the unit sees of the photo, (h, w, 3), 0..1, in its own pixels.
        label: The unit and its value, in two lines.
        tiles: The pictures, one for each column, (h, w, 3), 0..1.
        ranges: The value at full contrast, below each tile.
    """

    photo: Array
    label: str
    tiles: tuple[Array, ...]
    ranges: tuple[str, ...]


def colour_map(values: Array, limit: float) -> Array:
    """Show a map on a scale from cold (negative) over mid grey (zero) to warm (positive).

    Args:
        values: (H, W), signed.
        limit: Absolute value that reaches the ends of the scale; 0 gives plain grey.

    Returns:
        (H, W, 3), 0..1.

    Example:
        >>> shown = colour_map(np.array([[-2.0, 0.0, 1.0]], dtype=np.float32), 1.0)
        >>> shown.astype(float).round(2).tolist()
        [[[0.02, 0.13, 0.55], [0.5, 0.5, 0.5], [1.0, 0.87, 0.25]]]
    """
    share = 2 * (scale_signed(values, limit) - GREY)[..., None]
    ends = np.where(share < 0, np.array(COLD), np.array(WARM))
    coloured: Array = (GREY + np.abs(share) * (ends - GREY)).astype(np.float32)
    return coloured


def show_map(values: Array) -> tuple[Array, float]:
    """Show a picture or a map by its own largest values; nothing is shifted, zero is mid grey.

    Args:
        values: (H, W, 3), a picture, or (H, W, 1), a map.

    Returns:
        (H, W, 3), 0..1, and the absolute value at full contrast.
    """
    limit = robust_limit(values)
    shown = (
        scale_signed(values, limit) if values.shape[2] == 3 else colour_map(values[..., 0], limit)
    )
    return shown, limit


@fit_slide
def draw_method_grid(
    columns: Sequence[GridColumn],
    rows: Sequence[GridRow],
    lines: Sequence[str],
    title: str,
    caption: str,
) -> Figure:
    """Draw photos by methods.

    Args:
        columns: The methods.
        rows: The photos.
        lines: Names of the numbers below the columns.
        title: Heading.
        caption: Net, weights, and what the numbers mean.

    Returns:
        A figure of a slide's width; of few photos the columns stand in two bands, but on a slide.
    """
    count = len(columns)
    banded = len(rows) <= FEW_ROWS and count > 6 and not find_style().wide
    half = -(-count // 2) if banded else count
    bands = [range(first, min(first + half, count)) for first in range(0, count, half)]
    room = SLIDE_WIDTH - 2 * MARGIN
    width = min(room / (half + 1), 2.2)
    head, label, line = _measure_lines()
    band = head + len(rows) * (width - GAP + label + 0.08) + line * len(lines) + 0.1
    between = 0.25
    scale = LINE * scale_letters(LETTERS) + 0.2
    with plain_style():
        body = len(bands) * band + between * (len(bands) - 1) + scale
        sheet = Sheet(SLIDE_WIDTH, body, title, caption)
        for number, places in enumerate(bands):
            top = sheet.top + number * (band + between)
            _draw_band(sheet, [columns[k] for k in places], rows, places, lines, top, width)
        _draw_bar(sheet, sheet.top + body - scale + 0.1)
    return sheet.figure


def _measure_lines() -> tuple[float, float, float]:
    """Give the heights of a column's head, of a tile's label and of a number, in inches."""
    letters, numbers = LINE * scale_letters(LETTERS), LINE * scale_letters(NUMBERS)
    return 2 * letters + 0.04, 2 * letters, numbers * 1.25


def _draw_band(
    sheet: Sheet,
    columns: Sequence[GridColumn],
    rows: Sequence[GridRow],
    places: Sequence[int],
    lines: Sequence[str],
    top: float,
    width: float,
) -> None:
    tile = width - GAP
    head, label, line = _measure_lines()
    lefts = [MARGIN + number * width for number in range(len(columns) + 1)]
    for left, name in zip(lefts, ["photo", *(column.title for column in columns)], strict=True):
        middle = left + tile / 2
        bottom = top + head - 0.03
        sheet.write(name, middle, bottom, LETTERS, room=tile, ha="center", va="bottom")
    for number, row in enumerate(rows):
        above = top + head + number * (tile + label + 0.08)
        images = [row.photo, *(row.tiles[place] for place in places)]
        labels = [row.label, *(row.ranges[place] for place in places)]
        for left, image, text in zip(lefts, images, labels, strict=True):
            sheet.add_tile(image, left, above, tile)
            below = above + tile + 0.03
            sheet.write(text, left + tile / 2, below, LETTERS, room=tile, ha="center")
    below = top + head + len(rows) * (tile + label + 0.08) + 0.04
    for number, name in enumerate(lines):
        middle = below + (number + 0.5) * line
        right = MARGIN + tile
        sheet.write(
            name, right, middle, LETTERS, room=tile, ha="right", va="center", color=tone(QUIET)
        )
        for left, column in zip(lefts[1:], columns, strict=True):
            centre, text = left + tile / 2, column.numbers[number]
            sheet.write(text, centre, middle, NUMBERS, room=tile, ha="center", va="center")


def _draw_bar(sheet: Sheet, top: float) -> None:
    """Draw the scale of maps, and of pictures, with their ends named."""
    ramp = np.linspace(-1, 1, 201, dtype=np.float32)[None]
    left = MARGIN
    for name, room, image in (
        ("maps", scale_letters(0.5), colour_map(ramp, 1.0)),
        (
            "pictures, each colour",
            scale_letters(1.5),
            np.repeat(scale_signed(ramp, 1.0)[..., None], 3, axis=2),
        ),
    ):
        width, height = BAR
        sheet.write(name, left, top + height / 2, LETTERS, va="center")
        left += room
        axes = sheet.add_axes(left, top, width, height)
        show_panel(axes, image, aspect="auto")
        for share, text in ((0, "−"), (0.5, "0"), (1, "+")):
            centre = left + share * width
            sheet.write(text, centre, top + height, LETTERS, ha="center")
        left += width + 0.4
    words = "ends of a scale: ± the value below each tile"
    sheet.write(words, left, top + BAR[1] / 2, LETTERS, va="center")
