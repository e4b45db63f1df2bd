"""Arrays -> matplotlib figures; nothing here saves or shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vizcnn.drawing.labels import COLOURS, draw_boxes, join_labels
from vizcnn.drawing.sheet import LINE, MARGIN, SLIDE_WIDTH, Sheet
from vizcnn.drawing.style import plain_style, tone
from vizcnn.drawing.tiles import lay_out_grid
from vizcnn.photos.pixels import Array, Box

ROW_UNITS = 9
"""Units in a row of a layer's figure, and the most in a row of a summary."""
MOST_UNITS = 5 * ROW_UNITS
"""Units in a layer's figure; of more the first are drawn, and the caption says so."""
LAYER_TILE, SUMMARY_BODY = 1.4, 9.2
"""Largest side of a tile, and height that a summary's rows should keep to, in inches."""
LEAST_TILE = 0.68
"""Smallest side of a tile in inches."""
TILE_GAP = 6
"""Pixels between tiles."""
LABEL_SIZE = 8.0
"""Size of the units' labels in a summary, in points."""
LAYER_COLUMN = 1.25
"""Width of the layers' names in a summary, in inches."""
PHOTO_SIDES = (3.4, 5.4)
"""Least and largest side of the photo in a summary, in inches."""
PREDICTION_ROW = 0.25
"""Height of a class in inches."""
PANEL = 5.6
"""Side of an overlay's panel in inches."""
CONTROL_TILE, CONTROL_SIZE = 2.2, 11.0
"""Side of a control's tile in inches, and size of its labels in points."""
BETWEEN = 1.0
"""Inches between a control's two units, where their cosine stands."""
SIDEWAYS, ROW_GAP = 0.45, 0.06
"""Inches between a control's photo and units, for the rows' names; and between the rows."""


@dataclass(frozen=True)
class UnitPair:
    """A unit's projection and the patch of the photo in its receptive field, as square tiles.

    Attributes:
        projection: (side, side, 3), 0..1.
        patch: (side, side, 3), 0..1.
        label: What is written above, in two lines.
        selectivity: What is written below that; empty where nothing was compared.
    """

    projection: Array
    patch: Array
    label: str
    selectivity: str = ""


@dataclass(frozen=True)
class LayerStrip:
    """The strongest units of a layer, side by side.

    Attributes:
        name: The layer's name.
        note: What is written below the name: maps, receptive field.
        pairs: The units, strongest first.
        pictures: How many different pictures the active units of a place make, in a clause.
        pictures_short: The same in a few letters, for a summary.
        shown: What is shown of each unit.
    """

    name: str
    note: str
    pairs: tuple[UnitPair, ...]
    pictures: str = ""
    pictures_short: str = ""
    shown: str = "projection"

    @property
    def is_compared(self) -> bool:
        """Whether any unit has a selectivity to be shown."""
        return any(pair.selectivity for pair in self.pairs)


def draw_layer(strip: LayerStrip, title: str, caption: str) -> Figure:
    """Draw one layer: projections in rows, the patches below each.

    Args:
        strip: The layer; of more than :data:`MOST_UNITS` units the first are drawn.
        title: Heading.
        caption: Method, weights and scaling, below.

    Returns:
        A figure for a slide's full width.
    """
    pairs = strip.pairs[:MOST_UNITS]
    rows = [pairs[first : first + ROW_UNITS] for first in range(0, len(pairs), ROW_UNITS)]
    if len(pairs) < len(strip.pairs):
        caption = f"{caption} · the first {len(pairs)} of {len(strip.pairs)} units are drawn"
    left = MARGIN + 0.2
    lines = 2 + strip.is_compared
    height = _row_height(LAYER_TILE, LABEL_SIZE + 2, lines) + 0.12
    subtitle = strip.note.replace("\n", " · ")
    if strip.pictures and len(rows[0]) == ROW_UNITS:  # a narrower figure has no room for it there
        subtitle = f"{subtitle} · {strip.pictures}"
    elif strip.pictures:
        caption = f"{strip.pictures} · {caption}"
    width = max(left + len(rows[0]) * LAYER_TILE + MARGIN / 2, 6.0)
    with plain_style():
        sheet = Sheet(width, height * len(rows) - 0.12, title, caption, subtitle)
        for index, row in enumerate(rows):
            top = sheet.top + index * height
            _draw_row(sheet, row, left, top, LAYER_TILE, LABEL_SIZE + 2, lines, "selectivity")
            _name_rows(sheet, strip.shown, left - 0.08, top + height - 0.12 - 2 * LAYER_TILE)
    return sheet.figure


def draw_summary(
    photo: Array,
    predictions: Sequence[tuple[str, float]],
    strips: Sequence[LayerStrip],
    title: str,
    caption: str,
) -> Figure:
    """Draw a whole photo: what the net saw and said, and each layer's strongest units.

    Args:
        photo: (S, S, 3), 0..1.
        predictions: Class names and probabilities, best first; may be empty.
        strips: One per layer, lowest first; of more than :data:`ROW_UNITS` units the first are
            drawn.
        title: Heading.
        caption: Method, weights and scaling, below.

    Returns:
        A figure of a slide's width, 13.3 inches; narrower for few units.
    """
    columns = min(max(len(strip.pairs) for strip in strips), ROW_UNITS)
    between = 0.25 + LAYER_COLUMN + 0.12
    room = SLIDE_WIDTH - 2 * MARGIN - between
    lines = 2 + any(strip.is_compared for strip in strips)
    tile = _choose_tile(room - PHOTO_SIDES[0], columns, len(strips), lines)
    side = min(room - columns * tile, PHOTO_SIDES[1])
    start = MARGIN + side + between
    row = _row_height(tile, LABEL_SIZE, lines) + 0.16
    below = 0.2 + PREDICTION_ROW * len(predictions)
    width = max(start + columns * tile + MARGIN, 9.0)
    rows = f"upper rows: {strips[0].shown}s, lower rows: the photo in the same places"
    with plain_style():
        body = max(row * len(strips) - 0.16, side + below)
        sheet = Sheet(width, body, title, f"{caption} · {rows}")
        shown = sheet.add_axes(MARGIN, sheet.top, side, side)
        shown.imshow(photo, interpolation="nearest")
        _draw_predictions(sheet, predictions, side, sheet.top + side + 0.2)
        for index, strip in enumerate(strips):
            top = sheet.top + index * row
            _draw_row(sheet, strip.pairs[:ROW_UNITS], start, top, tile, LABEL_SIZE, lines, "s")
            middle = top + _row_height(tile, LABEL_SIZE, lines) - tile
            _name_layer(sheet, strip, start - 0.12, middle)
    return sheet.figure


def draw_overlay(
    photo: Array,
    projection: Array,
    boxes: Sequence[Box],
    labels: Sequence[str],
    title: str,
    caption: str,
    shown: str = "projection",
) -> Figure:
    """Draw the photo with receptive fields beside the projections in their places.

    Args:
        photo: (S, S, 3), 0..1.
        projection: (S, S, 3), 0..1: all projections in place.
        boxes: Receptive fields in pixels.
        labels: One per box; where many boxes leave a label no place, it is left out.
        title: Heading.
        caption: Method, weights and scaling, below.
        shown: What is shown of each unit.

    Returns:
        A figure of two panels.
    """
    joined = join_labels(boxes, labels)
    with plain_style():
        sheet = Sheet(2 * PANEL + 2 * MARGIN + 0.2, PANEL + 0.25, title, caption)
        panels = ((photo, "receptive fields"), (projection, f"{shown}s in place"))
        for index, (image, name) in enumerate(panels):
            left = MARGIN + index * (PANEL + 0.2)
            sheet.write(name, left, sheet.top, 11)
            axes = sheet.add_axes(left, sheet.top + 0.25, PANEL, PANEL)
            axes.imshow(image, interpolation="nearest")
            draw_boxes(axes, joined, max(image.shape[:2]))
    return sheet.figure


@dataclass(frozen=True)
class UnitPictures:
    """What is shown of a unit, as square tiles.

    Attributes:
        label: Three lines, written above.
        whole: Its picture, (side, side, 3), 0..1.
        own: Its own part, of the same size.
    """

    label: str
    whole: Array
    own: Array


def draw_control(
    patch: Array,
    units: Sequence[UnitPictures],
    cosines: Sequence[str],
    title: str,
    caption: str,
) -> Figure:
    """Draw two units of one place: whole pictures above, own parts below, cosines between.

    Args:
        patch: The photo there, (side, side, 3), 0..1.
        units: Two of them.
        cosines: Between the whole pictures, and between the own parts.
        title: Heading.
        caption: Method, weights, scaling, and how the second unit was chosen.
    """
    tile, size = CONTROL_TILE, CONTROL_SIZE
    head = 3 * LINE * size + 0.05
    lefts = [MARGIN + tile + SIDEWAYS + (tile + BETWEEN) * number for number in range(2)]
    with plain_style():
        sheet = Sheet(lefts[1] + tile + MARGIN, head + 2 * tile + ROW_GAP, title, caption)
        tops = [sheet.top + head + (tile + ROW_GAP) * row for row in range(2)]
        above: dict[str, Any] = {"ha": "center", "va": "bottom"}
        sheet.write("the photo there", MARGIN + tile / 2, tops[0] - 0.05, size, **above)
        sheet.add_image(patch, MARGIN, tops[0], tile, tile)
        for left, unit in zip(lefts, units, strict=True):
            sheet.write(unit.label, left + tile / 2, tops[0] - 0.05, size, room=tile, **above)
            for top, picture in zip(tops, (unit.whole, unit.own), strict=True):
                sheet.add_image(picture, left, top, tile, tile)
        middle: dict[str, Any] = {"ha": "center", "va": "center"}
        for top, name, cosine in zip(tops, ("whole picture", "own part"), cosines, strict=True):
            half, between = top + tile / 2, lefts[0] + tile + BETWEEN / 2
            sheet.write(name, lefts[0] - 0.15, half, size, rotation=90, **middle)
            sheet.write(f"cosine\n{cosine}", between, half, size + 1, **middle)
    return sheet.figure


def _row_height(tile: float, size: float, lines: int) -> float:
    """Give the height in inches of lines of label (letters in points) and two tiles."""
    return lines * LINE * size + 0.03 + 2 * tile


def _choose_tile(room: float, columns: int, rows: int, lines: int) -> float:
    """Give the tile's side in inches at which columns fit the room and rows a slide."""
    high = (SUMMARY_BODY / rows - _row_height(0, LABEL_SIZE, lines) - 0.16) / 2
    return min(max(min(LAYER_TILE, high), LEAST_TILE), room / columns)


def _draw_row(
    sheet: Sheet,
    pairs: Sequence[UnitPair],
    left: float,
    top: float,
    tile: float,
    size: float,
    lines: int,
    named: str,
) -> None:
    """Draw projections above patches, labels above both; ``tile`` includes the gap beside it."""
    tiles = [pair.projection for pair in pairs] + [pair.patch for pair in pairs]
    grid = lay_out_grid(tiles, len(pairs), TILE_GAP)
    scale = tile / (pairs[0].projection.shape[0] + TILE_GAP)
    labels = _row_height(tile, size, lines) - 2 * tile
    sheet.add_image(grid, left, top + labels, grid.shape[1] * scale, grid.shape[0] * scale)
    for index, pair in enumerate(pairs):
        centre = left + (index + 0.5) * tile - TILE_GAP * scale / 2
        bottom = top + labels - 0.03
        words = f"{pair.label}\n{named} {pair.selectivity}" if pair.selectivity else pair.label
        sheet.write(words, centre, bottom, size, room=tile * 0.94, ha="center", va="bottom")


def _name_rows(sheet: Sheet, shown: str, right: float, top: float) -> None:
    for index, name in enumerate((shown, "photo")):
        middle = top + (index + 0.5) * LAYER_TILE
        sheet.write(name, right, middle, LABEL_SIZE, ha="right", va="center", rotation=90)


def _name_layer(sheet: Sheet, strip: LayerStrip, right: float, middle: float) -> None:
    count = len(strip.pairs)
    more = f"\n{ROW_UNITS} of {count} units" if count > ROW_UNITS else ""
    place = {"ha": "right", "va": "bottom", "weight": "bold"}
    sheet.write(strip.name, right, middle - 0.04, 13, room=LAYER_COLUMN, **place)
    pictures = f"\n{strip.pictures_short}" if strip.pictures_short else ""
    sheet.write(strip.note + pictures + more, right, middle, 9, room=LAYER_COLUMN, ha="right")


def _draw_predictions(
    sheet: Sheet, predictions: Sequence[tuple[str, float]], width: float, top: float
) -> None:
    """Draw classes as bars; ``width`` and ``top`` in inches."""
    names, numbers = width * 0.45, 0.6
    bars = width - names - numbers - 0.1
    for index, (name, share) in enumerate(predictions):
        middle = top + (index + 0.5) * PREDICTION_ROW
        sheet.write(name, MARGIN + names, middle, 10, room=names, ha="right", va="center")
        axes = sheet.add_axes(MARGIN + names + 0.1, middle - 0.08, bars, 0.16)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.add_patch(Rectangle((0, 0), 1, 1, color=tone("#eeeeee"), linewidth=0))
        axes.add_patch(Rectangle((0, 0), share, 1, color=COLOURS[0], linewidth=0))
        sheet.write(f"{share:.1%}", MARGIN + width, middle, 10, ha="right", va="center")
