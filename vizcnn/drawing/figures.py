"""Arrays -> matplotlib figures; nothing here saves or shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vizcnn.drawing.labels import COLOURS, colour_boxes, draw_boxes, join_labels
from vizcnn.drawing.panels import show_panel, show_tile
from vizcnn.drawing.sheet import LINE, MARGIN, SLIDE_WIDTH, Sheet, fit_slide
from vizcnn.drawing.style import find_style, plain_style, scale_letters, tone
from vizcnn.photos.pixels import Array, Box

ROW_UNITS = 9
"""Units in a row of a layer's figure, and the most in a row of a summary."""
MOST_UNITS = 5 * ROW_UNITS
"""Units in a layer's figure; of more the first are drawn, and the caption says so."""
LAYER_TILE, SUMMARY_BODY = 1.4, 9.2
"""Largest side of a tile, and height that a summary's rows should keep to, in inches."""
LEAST_TILE = 0.68
"""Smallest side of a tile in inches."""
TILE_GAP = 1 / 36
"""Share of a tile's place that is the gap beside it."""
LABEL_SIZE = 8.0
"""Size of the units' labels in a summary, in points."""
LAYER_COLUMN = 1.25
"""Width of the layers' names in a summary, in inches."""
PHOTO_SIDES = (3.4, 5.4)
"""Least and largest side of the photo in a summary, in inches."""
PREDICTION_ROW = 0.25
"""Height of a class in inches."""
PANEL, LEGEND = 5.3, 2.1
"""Side of an overlay's panel, and width of its legend, in inches."""
PANEL_HEAD, PANEL_GAP, NOTE_SIZE = 0.3, 0.2, 11.0
"""Inches above a panel for its name, and beside it; size of such letters in points."""
CONTROL_TILE, CONTROL_SIZE = 2.2, 11.0
"""Side of a control's tile in inches, and size of its labels in points."""
BETWEEN = 1.0
"""Inches between a control's two units, where their cosine stands."""
SIDEWAYS, ROW_GAP = 0.45, 0.06
"""Inches between a control's photo and units, for the rows' names; and between the rows."""


@dataclass(frozen=True)
class UnitPair:
    """A unit's projection and the patch of the photo in its receptive field.

    Attributes:
        projection: (h, w, 3), 0..1, in its own pixels.
        patch: (h, w, 3), 0..1.
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
        in_row: Units in a row where a layer is drawn by itself, :data:`ROW_UNITS` at most.
    """

    name: str
    note: str
    pairs: tuple[UnitPair, ...]
    pictures: str = ""
    pictures_short: str = ""
    shown: str = "projection"
    in_row: int = ROW_UNITS

    @property
    def is_compared(self) -> bool:
        """Whether any unit has a selectivity to be shown."""
        return any(pair.selectivity for pair in self.pairs)


@fit_slide
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
    rows = [pairs[first : first + strip.in_row] for first in range(0, len(pairs), strip.in_row)]
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


@fit_slide
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
        A figure of a slide's width, 13.3 inches; narrower for few units. In a style for slides
        a slide, with as many units as are large enough to be seen from afar.
    """
    if find_style().wide:
        return _draw_summary_slide(photo, predictions, strips, title, caption)
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
    down = side * find_flatness(photo)
    rows = f"upper rows: {strips[0].shown}s, lower rows: the photo in the same places"
    with plain_style():
        body = max(row * len(strips) - 0.16, down + below)
        sheet = Sheet(width, body, title, f"{caption} · {rows}")
        show_panel(sheet.add_axes(MARGIN, sheet.top, side, down), photo)
        _draw_predictions(sheet, predictions, side, sheet.top + down + 0.2)
        for index, strip in enumerate(strips):
            top = sheet.top + index * row
            _draw_row(sheet, strip.pairs[:ROW_UNITS], start, top, tile, LABEL_SIZE, lines, "s")
            middle = top + _row_height(tile, LABEL_SIZE, lines) - tile
            _name_layer(sheet, strip, start - 0.12, middle)
    return sheet.figure


def find_flatness(photo: Array) -> float:
    """Give the height of the panel of a photo for a width of 1: 1 unless it is wider than high."""
    height, width = photo.shape[:2]
    return float(min(height / width, 1.0))


@fit_slide
def draw_overlay(
    photo: Array,
    projection: Array,
    boxes: Sequence[Box],
    labels: Sequence[str],
    notes: Sequence[str],
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
        notes: One per box, for the legend.
        title: Heading.
        caption: Method, weights and scaling, below.
        shown: What is shown of each unit.

    Returns:
        A figure of two panels and a legend.
    """
    joined = join_labels(boxes, labels)
    width = 2 * (MARGIN + PANEL) + PANEL_GAP + LEGEND
    with plain_style():
        down = PANEL * find_flatness(photo)
        body = max(down, min(PANEL / 2, len(notes) * _find_legend_step()))
        sheet = Sheet(width, body + PANEL_HEAD, title, caption)
        panels = ((photo, "receptive fields"), (projection, f"{shown}s in place"))
        top = sheet.top + PANEL_HEAD
        for index, (image, name) in enumerate(panels):
            left = MARGIN + index * (PANEL + PANEL_GAP)
            sheet.write(name, left, sheet.top, NOTE_SIZE)
            axes = sheet.add_axes(left, top, PANEL, down)
            show_panel(axes, image)
            draw_boxes(axes, joined, max(image.shape[:2]))
        colours = colour_boxes(joined)
        left = 2 * (MARGIN + PANEL) + PANEL_GAP
        _draw_legend(sheet, notes, [colours[box] for box in boxes], left, top, body)
    return sheet.figure


def _find_legend_step() -> float:
    return 1.45 * LINE * scale_letters(NOTE_SIZE)


def _draw_legend(
    sheet: Sheet,
    notes: Sequence[str],
    colours: Sequence[str],
    left: float,
    top: float,
    height: float,
) -> None:
    """Name the colours of boxes, from above, as many as have room."""
    step = _find_legend_step()
    most = int(height / step + 1e-9)
    shown = len(notes) if len(notes) <= most else most - 1
    mark = LINE * scale_letters(NOTE_SIZE) * 0.7
    for index, (note, colour) in enumerate(zip(notes[:shown], colours, strict=False)):
        middle = top + (index + 0.5) * step
        axes = sheet.add_axes(left, middle - mark / 2, mark, mark)
        axes.add_patch(Rectangle((0, 0), 1, 1, color=colour, linewidth=0))
        after = left + mark + 0.1
        room = sheet.width - MARGIN - after
        sheet.write(note, after, middle, NOTE_SIZE, room=room, va="center")
    if shown < len(notes):
        words = f"and {len(notes) - shown} more"
        sheet.write(words, left, top + (shown + 0.5) * step, NOTE_SIZE, va="center")


@dataclass(frozen=True)
class UnitPictures:
    """What is shown of a unit.

    Attributes:
        label: Three lines, written above.
        whole: Its picture, (h, w, 3), 0..1, in its own pixels.
        own: Its own part, of the same size.
    """

    label: str
    whole: Array
    own: Array


@fit_slide
def draw_control(
    patch: Array,
    units: Sequence[UnitPictures],
    cosines: Sequence[str],
    title: str,
    caption: str,
) -> Figure:
    """Draw two units of one place: whole pictures above, own parts below, cosines between.

    Args:
        patch: The photo there, (h, w, 3), 0..1.
        units: Two of them.
        cosines: Between the whole pictures, and between the own parts.
        title: Heading.
        caption: Method, weights, scaling, and how the second unit was chosen.
    """
    tile, size = CONTROL_TILE, CONTROL_SIZE
    head = 3 * LINE * scale_letters(size) + 0.05
    lefts = [MARGIN + tile + SIDEWAYS + (tile + BETWEEN) * number for number in range(2)]
    with plain_style():
        sheet = Sheet(lefts[1] + tile + MARGIN, head + 2 * tile + ROW_GAP, title, caption)
        tops = [sheet.top + head + (tile + ROW_GAP) * row for row in range(2)]
        above: dict[str, Any] = {"ha": "center", "va": "bottom"}
        sheet.write("the photo there", MARGIN + tile / 2, tops[0] - 0.05, size, **above)
        sheet.add_tile(patch, MARGIN, tops[0], tile)
        for left, unit in zip(lefts, units, strict=True):
            sheet.write(unit.label, left + tile / 2, tops[0] - 0.05, size, room=tile, **above)
            for top, picture in zip(tops, (unit.whole, unit.own), strict=True):
                sheet.add_tile(picture, left, top, tile)
        middle: dict[str, Any] = {"ha": "center", "va": "center"}
        for top, name, cosine in zip(tops, ("whole picture", "own part"), cosines, strict=True):
            half, between = top + tile / 2, lefts[0] + tile + BETWEEN / 2
            sheet.write(name, lefts[0] - 0.15, half, size, rotation=90, **middle)
            sheet.write(f"cosine\n{cosine}", between, half, size + 1, **middle)
    return sheet.figure


def _row_height(tile: float, size: float, lines: int) -> float:
    """Give the height in inches of lines of label (letters in points) and two tiles."""
    return lines * LINE * scale_letters(size) + 0.03 + 2 * tile


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
    gap = tile * TILE_GAP
    labels = _row_height(tile, size, lines) - 2 * tile
    width, height = len(pairs) * tile - gap, 2 * tile - gap
    axes = sheet.add_axes(left, top + labels, width, height)
    axes.set(xlim=(0, width), ylim=(height, 0))
    for index, pair in enumerate(pairs):
        for row, picture in enumerate((pair.projection, pair.patch)):
            show_tile(axes, picture, index * tile, row * tile, tile - gap)
    for index, pair in enumerate(pairs):
        centre = left + (index + 0.5) * tile - gap / 2
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
    sheet: Sheet,
    predictions: Sequence[tuple[str, float]],
    width: float,
    top: float,
    row: float = PREDICTION_ROW,
) -> None:
    """Draw classes as bars; ``width``, ``top`` and a row's height in inches."""
    names, numbers = width * 0.45, 0.6 * scale_letters(1)
    bars = width - names - numbers - 0.1
    for index, (name, share) in enumerate(predictions):
        middle = top + (index + 0.5) * row
        sheet.write(name, MARGIN + names, middle, 10, room=names, ha="right", va="center")
        axes = sheet.add_axes(MARGIN + names + 0.1, middle - 0.08, bars, 0.16)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.add_patch(Rectangle((0, 0), 1, 1, color=tone("#eeeeee"), linewidth=0))
        axes.add_patch(Rectangle((0, 0), share, 1, color=COLOURS[0], linewidth=0))
        sheet.write(f"{share:.1%}", MARGIN + width, middle, 10, ha="right", va="center")


SLIDE_GAP = 0.15
"""Inches between what stands on a slide's summary."""
SLIDE_NAMES = 1.7
"""Width of the layers' names on a slide's summary, in inches."""
SLIDE_PHOTO = 3.6
"""Largest side of its photo in inches."""
SLIDE_PREDICTION = 0.36
"""Height of a class on it in inches."""
SLIDE_PAIRS = 5
"""Most units of a layer on it."""


@dataclass(frozen=True)
class _Grid:
    """How layers stand on a slide: columns of layers, units of each, a tile's side in inches."""

    columns: int
    units: int
    tile: float

    @property
    def worth(self) -> float:
        # somewhat smaller pictures of more units say more
        return float(self.units**1.3) * self.tile**2


def _draw_summary_slide(
    photo: Array,
    predictions: Sequence[tuple[str, float]],
    strips: Sequence[LayerStrip],
    title: str,
    caption: str,
) -> Figure:
    """Draw a summary on one slide: each unit's projection beside the photo in the same place."""
    words = f"{caption} · on the left {strips[0].shown}s, on the right the photo in the same places"
    most = max(len(strip.pairs) for strip in strips)
    if most > 1:
        words += f", of a layer's {most} units as many as the slide holds"
    with plain_style():
        body = Sheet(SLIDE_WIDTH, 0.0, title, words).spare
        sheet = Sheet(SLIDE_WIDTH, body, title, words)
        side = min(SLIDE_PHOTO, body - 2 * SLIDE_GAP - SLIDE_PREDICTION * len(predictions))
        down = side * find_flatness(photo)
        show_panel(sheet.add_axes(MARGIN, sheet.top, side, down), photo)
        below = sheet.top + down + SLIDE_GAP
        _draw_predictions(sheet, predictions, side, below, SLIDE_PREDICTION)
        start = MARGIN + side + 2 * SLIDE_GAP
        room = SLIDE_WIDTH - MARGIN - start
        grid = _arrange_strips(strips, room, body)
        rows = -(-len(strips) // grid.columns)
        for index, strip in enumerate(strips):
            column, row = divmod(index, rows)
            left = start + column * (room + SLIDE_GAP) / grid.columns
            width = (room + SLIDE_GAP) / grid.columns - SLIDE_GAP
            _draw_slide_strip(sheet, strip, grid, left, sheet.top + row * body / rows, width)
    return sheet.figure


def _arrange_strips(strips: Sequence[LayerStrip], width: float, height: float) -> _Grid:
    """Choose columns, and units of each layer, with which pictures take the most of the slide."""
    label = _row_height(0, LABEL_SIZE + 1, 1) + SLIDE_GAP
    most = min(max(len(strip.pairs) for strip in strips), SLIDE_PAIRS)
    grids = []
    for columns in range(1, len(strips) + 1):
        rows = -(-len(strips) // columns)
        across = (width + SLIDE_GAP) / columns - SLIDE_GAP - SLIDE_NAMES
        for units in range(1, most + 1):
            wide = (across / units - SLIDE_GAP) / 2
            grids.append(_Grid(columns, units, min(height / rows - label, wide)))
    return max(
        grids, key=lambda grid: (round(grid.worth, 6) if grid.tile > 0 else 0, -grid.columns)
    )


def _draw_slide_strip(
    sheet: Sheet, strip: LayerStrip, grid: _Grid, left: float, top: float, width: float
) -> None:
    size = LABEL_SIZE + 1
    label = _row_height(0, size, 1)
    right = left + SLIDE_NAMES - SLIDE_GAP
    place: dict[str, Any] = {"room": SLIDE_NAMES - SLIDE_GAP, "ha": "right"}
    sheet.write(strip.name, right, top + label, 13, weight="bold", **place)
    line = LINE * scale_letters(13)
    notes = [*strip.note.split("\n"), *filter(None, [strip.pictures_short])]
    fitting = int((grid.tile + SLIDE_GAP - line) / (LINE * scale_letters(LABEL_SIZE)))
    for number, note in enumerate(notes[: max(fitting, 0)]):
        below = top + label + line + number * LINE * scale_letters(LABEL_SIZE)
        sheet.write(note, right, below, LABEL_SIZE, **place)
    step = (width - SLIDE_NAMES) / grid.units
    for index, pair in enumerate(strip.pairs[: grid.units]):
        across = left + SLIDE_NAMES + index * step
        words = [
            *pair.label.split("\n"),
            *filter(None, [pair.selectivity and f"s {pair.selectivity}"]),
        ]
        room = step - SLIDE_GAP
        sheet.write(" · ".join(words), across, top + label - 0.03, size, room=room, va="bottom")
        for number, picture in enumerate((pair.projection, pair.patch)):
            here = across + number * (grid.tile + 0.03)
            sheet.add_tile(picture, here, top + label, grid.tile)
