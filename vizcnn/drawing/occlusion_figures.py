"""Occlusion as in Figure 7 of Zeiler & Fergus 2013: a row for each photo, five columns."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from vizcnn.drawing.labels import add_frame
from vizcnn.drawing.panels import colour_pixels
from vizcnn.drawing.sheet import LINE, MARGIN, QUIET, SLIDE_WIDTH, Sheet, fit_slide
from vizcnn.drawing.style import plain_style, points, scale_letters, tone
from vizcnn.drawing.words import percent, show_number
from vizcnn.measures.occlusion_maps import Grid
from vizcnn.photos.pixels import Array, Box

Values = NDArray[np.float64]

MAP = "viridis"
"""Colours of maps, dark where the quantity is small."""
FIELD, SQUARE = "#e69f00", "#ffffff"
"""Colours of the frames of the receptive field and of the square."""
HEADS = (
    "(a) the photo",
    "(b) sum of the map",
    "(b) the unit’s value",
    "(c) projections",
    "(d) p(class)",
    "(e) likeliest class",
)
LETTERS, HEAD = 8.5, 10.0
"""Sizes of labels and of headings in points."""
GAP = 0.12
"""Inches between columns."""
MOST_CLASSES = 5
"""Classes in a legend; further ones share a grey."""
BLANK = 0.5
"""Grey level of pixels that are the centre of no square, and of further classes."""


@dataclass(frozen=True)
class ShownProjection:
    """A projection of the unit, for column (c).

    Attributes:
        image: (h, w, 3), 0..1.
        here: Whether it is that of the row's photo, which gets the frame.
    """

    image: Array
    here: bool


@dataclass(frozen=True)
class OcclusionRow:
    """A photo.

    Attributes:
        name: What is written above its row.
        hidden: The photo with the square where it hurts the unit most, (H, W, 3), 0..1.
        square: Where that is.
        box: The unit's receptive field.
        grid: The squares.
        maps: Sum of the unit's map (None in a layer without places), its value, and the
            probability of the class, (n, m) each.
        wholes: The same of the untouched photo.
        best: Number of the most probable class, (n, m).
        names: The classes' names by number.
        target: Number of the class.
        projections: Column (c), the photo's own first; empty where there is none.
        unprojected: Why something is missing in column (c), in words.
    """

    name: str
    hidden: Array
    square: Box
    box: Box
    grid: Grid
    maps: tuple[Values | None, Values, Values]
    wholes: tuple[float, float, float]
    best: NDArray[np.int64]
    names: dict[int, str]
    target: int
    projections: tuple[ShownProjection, ...]
    unprojected: str = ""


def colour_class(number: int) -> tuple[float, float, float]:
    """Give the colour of a class: the same in every figure, by its number alone.

    Hues of neighbouring numbers are a golden section apart.

    Example:
        >>> colour_class(3) == colour_class(3), colour_class(3) == colour_class(4)
        (True, False)
    """
    hue = (number * 0.6180339887498949) % 1.0
    return colorsys.hls_to_rgb(hue, (0.5, 0.68, 0.36)[number % 3], 0.65)


def spread_over_photo(cells: Array, grid: Grid, height: int, width: int) -> Array:
    """Give each pixel the colour of the nearest square's centre; grey beyond the outermost ones.

    A centre stands for the pixels around it, up to half a stride away.

    Args:
        cells: Colours by the squares' places, (n, m, 3), 0..1.
        grid: The squares.
        height: Of the photo in pixels.
        width: Its width.

    Returns:
        (height, width, 3), 0..1.

    Example:
        >>> grid = Grid(2, 2, (0, 2), (0, 2))
        >>> cells = np.arange(4.0).reshape(2, 2, 1).repeat(3, axis=2) / 4
        >>> spread_over_photo(cells, grid, 4, 4)[:, 0, 0].tolist()
        [0.0, 0.0, 0.5, 0.5]
    """
    rows, inside_rows = _find_nearest(grid.tops, grid, height)
    columns, inside_columns = _find_nearest(grid.lefts, grid, width)
    spread: Array = np.full((height, width, 3), BLANK, dtype=np.float32)
    within = np.ix_(inside_rows, inside_columns)
    spread[within] = cells[np.ix_(rows[inside_rows], columns[inside_columns])]
    return spread


def _find_nearest(
    starts: Sequence[int], grid: Grid, extent: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give for each pixel the nearest centre's number, and the pixels that one is near to."""
    centres, pixels = np.array(starts) + grid.side / 2, np.arange(extent) + 0.5
    distance = np.abs(pixels[:, None] - centres)
    near = (distance.min(axis=1) <= max(grid.stride, 1) / 2).nonzero()[0]
    return distance.argmin(axis=1), near


@fit_slide
def draw_occlusion(rows: Sequence[OcclusionRow], title: str, caption: str) -> Figure:
    """Draw photos in rows: photo with square, map and value, projections, class, classes.

    Args:
        rows: The photos.
        title: Heading.
        caption: Net, weights, the squares, and what the colours mean.
    """
    step = (SLIDE_WIDTH - 2 * MARGIN + GAP) / len(HEADS)
    tile = step - GAP
    head, line = LINE * scale_letters(HEAD) + 0.1, LINE * scale_letters(LETTERS)
    name = line + 0.08
    legend = max(min(len(list_classes(row.best)), MOST_CLASSES + 1) for row in rows)
    block = name + tile + 0.05 + max(legend, 3) * line + 0.14
    with plain_style():
        sheet = Sheet(SLIDE_WIDTH, head + len(rows) * block, title, caption)
        lefts = [MARGIN + number * step for number in range(len(HEADS))]
        for left, words in zip(lefts, HEADS, strict=True):
            middle, bottom = left + tile / 2, sheet.top + head - 0.08
            look = {"ha": "center", "va": "bottom", "weight": "bold"}
            sheet.write(words, middle, bottom, HEAD, room=tile + GAP / 2, **look)
        for number, row in enumerate(rows):
            top = sheet.top + head + number * block
            sheet.write(row.name, MARGIN, top, LETTERS, room=SLIDE_WIDTH - 2 * MARGIN)
            _draw_row(sheet, row, lefts, top + name, tile, line)
    return sheet.figure


def _draw_row(
    sheet: Sheet, row: OcclusionRow, lefts: Sequence[float], top: float, tile: float, line: float
) -> None:
    height, width = row.hidden.shape[:2]
    below = top + tile + 0.05
    axes = sheet.add_tile(row.hidden, lefts[0], top, tile)
    add_frame(axes, row.square, SQUARE, 1.2, 1.4)
    add_frame(axes, row.box, FIELD, 1.6, 1.4)
    words = f"square of {row.grid.side} px where\nthe unit falls most\norange: receptive field"
    sheet.write(words, lefts[0], below, LETTERS, room=tile, color=tone(QUIET))
    for left, values, whole in zip(
        (lefts[1], lefts[2], lefts[4]), row.maps, row.wholes, strict=True
    ):
        if values is None:
            sheet.write("the layer has no places", left, top, LETTERS, room=tile)
            continue
        image = spread_over_photo(_colour(values), row.grid, height, width)
        _frame_thinly(sheet.add_tile(image, left, top, tile), row.box)
        _draw_bar(sheet, values, whole, left, below, tile, line)
    _draw_projections(sheet, row, lefts[3], top, tile, line)
    _draw_classes(sheet, row, lefts[5], top, tile, line)


def _colour(values: Values) -> Array:
    cells: Array = (colour_pixels(values, cmap=MAP) / 255).astype(np.float32)
    return cells


def _frame_thinly(axes: Axes, box: Box) -> None:
    add_frame(axes, box, FIELD, 0.8, 0.6)


def _draw_bar(
    sheet: Sheet, values: Values, whole: float, left: float, top: float, tile: float, line: float
) -> None:
    """Draw the scale of a map with its ends, and say what the untouched photo has."""
    ramp = _colour(np.linspace(0, 1, 128)[None])
    sheet.add_image(ramp, left, top + 0.02, tile, 0.08)
    under = top + 0.12
    low, high = (show_number(float(end)) for end in (values.min(), values.max()))
    sheet.write(low, left, under, LETTERS, room=tile / 2)
    sheet.write(high, left + tile, under, LETTERS, room=tile / 2, ha="right")
    words = f"untouched: {show_number(whole)}"
    sheet.write(words, left, under + line, LETTERS, room=tile, color=tone(QUIET))


def _draw_projections(
    sheet: Sheet, row: OcclusionRow, left: float, top: float, tile: float, line: float
) -> None:
    shown = row.projections
    columns = 1 if len(shown) < 2 else 2 if len(shown) < 5 else 3
    side = (tile - (columns - 1) * 0.06) / columns
    for number, projection in enumerate(shown[: columns**2]):
        across, down = number % columns * (side + 0.06), number // columns * (side + 0.06)
        axes = sheet.add_tile(projection.image, left + across, top + down, side)
        if projection.here:
            frame = Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, clip_on=False)
            frame.set(edgecolor=tone("#000000"), linewidth=points(3), zorder=4)
            axes.add_patch(frame)
    words = ["framed: in this photo"] if len(shown) > 1 else ["in this photo"] if shown else []
    words += [row.unprojected] if row.unprojected else []
    for number, text in enumerate(words):
        below = top + tile + 0.05 + number * line
        sheet.write(text, left, below, LETTERS, room=tile, color=tone(QUIET))


def list_classes(best: NDArray[np.int64]) -> list[tuple[int, float]]:
    """List the classes that are the most probable somewhere, with their shares of the squares."""
    numbers, counts = np.unique(best, return_counts=True)
    order = sorted(zip(counts.tolist(), numbers.tolist(), strict=True), key=lambda x: (-x[0], x[1]))
    return [(number, count / best.size) for count, number in order]


def _draw_classes(
    sheet: Sheet, row: OcclusionRow, left: float, top: float, tile: float, line: float
) -> None:
    height, width = row.hidden.shape[:2]
    found = list_classes(row.best)
    shown = found[:MOST_CLASSES]
    cells: Array = np.full((*row.best.shape, 3), BLANK, dtype=np.float32)
    for number, _ in shown:
        cells[row.best == number] = colour_class(number)
    image = spread_over_photo(cells, row.grid, height, width)
    _frame_thinly(sheet.add_tile(image, left, top, tile), row.box)
    rest = sum(share for _, share in found[MOST_CLASSES:])
    lines = [(row.names[number], share, colour_class(number)) for number, share in shown]
    if rest:
        grey = (BLANK, BLANK, BLANK)
        lines.append((f"{len(found) - MOST_CLASSES} more classes", rest, grey))
    for index, (name, share, colour) in enumerate(lines):
        under = top + tile + 0.05 + index * line
        chip = np.full((1, 1, 3), colour, dtype=np.float32)
        sheet.add_image(chip, left, under + 0.02, line * 0.7, line * 0.7)
        bold = "bold" if index < len(shown) and shown[index][0] == row.target else "normal"
        room = tile - line
        words = f"{name} {percent(share)}"
        sheet.write(words, left + line, under, LETTERS, room=room, weight=bold)
