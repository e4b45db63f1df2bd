"""Pictures of the checks: a place by every method, the cascade, and what a grey square takes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vizcnn.attribution.occlusion import sum_squares
from vizcnn.drawing.panels import show_panel
from vizcnn.drawing.sheet import MARGIN, SLIDE_WIDTH, Sheet, fit_slide
from vizcnn.drawing.style import find_style, plain_style, points, tone
from vizcnn.drawing.tiles import robust_limit, scale_projections
from vizcnn.drawing.words import show_decimal, show_method
from vizcnn.measures.agreement import correlate, find_magnitudes, find_similarity, rank, stretch
from vizcnn.measures.cascade import Shown, Switches
from vizcnn.measures.occlusion_control import ShownControl, Values, foretell
from vizcnn.measures.sameness import ShownPlace
from vizcnn.photos.pixels import Array

NAMES = 1.45
"""Inches for the names of methods before a row."""
GAP = 0.07
"""Inches between tiles."""
TILE = 1.3
"""Largest side of a tile in inches."""
SLIDE_BODY = 7.0
"""Inches that the rows of a slide take at most."""
HEADING = 0.36
"""Inches above tiles for their headings."""
LABEL = 0.2
"""Inches below a tile for its number."""

Visible = Callable[[Array], Array]
"""From pictures (..., 3, h, w) to what is shown of them, of the same shape."""


@fit_slide
def draw_place(shown: ShownPlace, visible: Visible, title: str, caption: str) -> Figure:
    """Draw units of one place: a row for each method, and below it one of their own parts.

    Args:
        shown: The units' pictures.
        visible: What is shown of a picture.
        title: Heading.
        caption: What the figure depends on, below.
    """
    columns = len(shown.units)
    tile = min((SLIDE_WIDTH - 2 * MARGIN - NAMES) / (columns + 1) - GAP, TILE)
    if find_style().wide:  # a slide has no room for more
        tile = min(tile, SLIDE_BODY / (2 * len(shown.pictures)) - GAP - LABEL)
    step = tile + GAP
    block = 2 * step + LABEL
    row, column = shown.position
    words = (
        f"{shown.layer}, row {row}, column {column}: the strongest units ({shown.active} active); "
        "below a picture its selectivity, 0 where it is the common picture, 1 where nothing is "
        "shared"
    )
    with plain_style():
        body = HEADING + block * len(shown.pictures)
        sheet = Sheet(SLIDE_WIDTH, body, title, caption, words)
        _head(sheet, "photo", MARGIN + NAMES + tile / 2, tile)
        photo = _to_image(shown.patch)
        sheet.add_tile(photo, MARGIN + NAMES, sheet.top + HEADING, tile)
        for number, unit in enumerate(shown.units):
            left = MARGIN + NAMES + (number + 1) * step
            _head(sheet, f"unit {unit}", left + tile / 2, tile)
        for index, method in enumerate(shown.pictures):
            top = sheet.top + HEADING + index * block
            _name_row(sheet, show_method(method), "", top + tile / 2)
            _name_row(sheet, "own parts", "", top + tile + LABEL + tile / 2, quiet=True)
            for part, above in ((shown.pictures, top), (shown.own, top + tile + LABEL)):
                tiles = _scale(visible(part[method]))
                for number, picture in enumerate(tiles):
                    left = MARGIN + NAMES + (number + 1) * step
                    sheet.add_tile(picture, left, above, tile)
            for number, value in enumerate(shown.selectivity[method]):
                middle = MARGIN + NAMES + (number + 1) * step + tile / 2
                _label(sheet, show_decimal(value), middle, top + tile)
    return sheet.figure


@fit_slide
def draw_cascade(
    shown: Shown,
    layers: Sequence[str],
    switches: Switches,
    visible: Visible,
    title: str,
    caption: str,
) -> Figure:
    """Draw what becomes of a photo's pictures: a row for each method, a column for each layer.

    The first column is the photo, the second the unshuffled net's picture, the last its edges.

    Args:
        shown: The pictures.
        layers: Names of the shuffled layers, from the top down.
        switches: Whose switches the pictures are made with.
        visible: What is shown of a picture.
        title: Heading.
        caption: What the figure depends on, below.
    """
    rows = {
        method: pictures for (method, kind), pictures in shown.pictures.items() if kind == switches
    }
    columns = len(layers) + 3
    tile = min((SLIDE_WIDTH - 2 * MARGIN - NAMES) / columns - GAP, TILE)
    step, block = tile + GAP, tile + LABEL
    headings = ["photo", "unshuffled", *(f"… {layer}" for layer in layers), "edges"]
    if layers:
        headings[2] = layers[0]
    words = (
        "layers shuffled so far, from left to right; below a picture its structural similarity "
        "with the unshuffled net's"
    )
    photo = _to_image(shown.photo)
    edges = np.repeat(stretch(shown.edges)[:, :, None], 3, axis=2)
    with plain_style():
        sheet = Sheet(SLIDE_WIDTH, HEADING + block * len(rows), title, caption, words)
        for number, heading in enumerate(headings):
            _head(sheet, heading, MARGIN + NAMES + number * step + tile / 2, tile)
        for index, (method, pictures) in enumerate(rows.items()):
            top = sheet.top + HEADING + index * block
            _name_row(sheet, show_method(method), "", top + tile / 2)
            tiles = [photo, *_scale([visible(picture) for picture in pictures]), edges]
            for number, picture in enumerate(tiles):
                sheet.add_tile(picture, MARGIN + NAMES + number * step, top, tile)
            first = find_magnitudes(pictures[0])
            for number, picture in enumerate(pictures):
                value = find_similarity(first, find_magnitudes(picture))
                middle = MARGIN + NAMES + (number + 1) * step + tile / 2
                _label(sheet, show_decimal(value), middle, top + tile)
    return sheet.figure


@fit_slide
def draw_drops(shown: ShownControl, visible: Visible, title: str, caption: str) -> Figure:
    """Draw a photo, where its strongest unit falls, and what two units' pictures foretold.

    Args:
        shown: The control on one photo.
        visible: What is shown of a picture.
        title: Heading.
        caption: What the figure depends on, below.
    """
    tile = min((SLIDE_WIDTH - 2 * MARGIN - NAMES) / (len(shown.pictures) + 1) - 2 * GAP, 2.3)
    step, block = tile + 2 * GAP, tile + HEADING
    words = (
        f"a grey square of {shown.squares.side} px in {len(shown.squares.corners)} places; red: "
        f"unit {shown.unit} falls, or is foretold to fall; blue: it rises; below a map its rank "
        "correlation with the drop"
    )
    drops = rank(shown.drops)
    with plain_style():
        sheet = Sheet(SLIDE_WIDTH, 2 * block + LABEL, title, caption, words)
        first = sheet.top + HEADING
        _head(sheet, "photo", MARGIN + tile / 2, tile)
        axes = sheet.add_tile(_to_image(shown.photo), MARGIN, first, tile)
        _frame(axes, shown)
        _head(sheet, f"unit {shown.unit}: drop", MARGIN + tile / 2, tile, first + tile)
        _add_map(sheet, shown, shown.drops, MARGIN, first + block, tile)
        names = MARGIN + tile + 2 * GAP
        _name_row(sheet, f"unit {shown.unit}", "its own picture", first + tile / 2, names)
        _name_row(sheet, f"unit {shown.other}", "another’s", first + block + tile / 2, names)
        for index, (method, pictures) in enumerate(shown.pictures.items()):
            left = MARGIN + NAMES + (index + 1) * step
            _head(sheet, show_method(method), left + tile / 2, tile)
            for number, values in enumerate(foretell(pictures, method)):
                top, sums = first + number * block, sum_squares(values, shown.squares)
                _add_map(sheet, shown, sums, left, top, tile)
                agreement = f"{correlate(drops, rank(sums)):+.2f}"
                _label(sheet, agreement, left + tile / 2, top + tile)
    return sheet.figure


def _add_map(
    sheet: Sheet,
    shown: ShownControl,
    values: Values,
    left: float,
    top: float,
    tile: float,
) -> None:
    """Show a value for each square at its middle, zero white, at its own contrast."""
    corners = np.array(shown.squares.corners)
    rows, columns = (np.unique(corners[:, axis]) for axis in (0, 1))
    grid = values.reshape(len(rows), len(columns))
    limit = robust_limit(grid.astype(np.float32)) or 1.0
    half = shown.squares.side / 2
    step = max(shown.squares.side // 2, 1)
    size = shown.photo.shape[-1]
    axes = sheet.add_axes(left, top, tile, tile)
    ground = Rectangle((0, 0), size, size, color=tone("#eeeeee"), linewidth=0, zorder=-1)
    axes.add_patch(ground)
    extent = (
        columns[0] + half - step / 2,
        columns[-1] + half + step / 2,
        rows[-1] + half + step / 2,
        rows[0] + half - step / 2,
    )
    show_panel(axes, grid, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=extent)
    axes.set_xlim(0, size)
    axes.set_ylim(size, 0)


def _frame(axes: Axes, shown: ShownControl) -> None:
    top, left, bottom, right = shown.box
    frame = Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False)
    frame.set(edgecolor="#e69f00", linewidth=points(2), clip_on=False)
    axes.add_patch(frame)


def _scale(pictures: Sequence[Array] | Array) -> list[Array]:
    """Give pictures (3, h, w) as images, each at its own contrast, zero as mid grey."""
    return scale_projections([_to_image(picture) for picture in pictures], "unit")


def _to_image(picture: Array) -> Array:
    return np.ascontiguousarray(picture.transpose(1, 2, 0))


def _head(sheet: Sheet, words: str, middle: float, room: float, above: float | None = None) -> None:
    top = (sheet.top if above is None else above) + HEADING - 0.06
    sheet.write(words, middle, top, 11, room=room, ha="center", va="bottom", weight="bold")


def _label(sheet: Sheet, words: str, middle: float, top: float) -> None:
    sheet.write(words, middle, top + 0.02, 9, ha="center", color=tone("#444444"))


def _name_row(
    sheet: Sheet, name: str, note: str, middle: float, left: float = MARGIN, quiet: bool = False
) -> None:
    look: dict[str, Any] = {"color": tone("#444444")} if quiet else {"weight": "bold"}
    look["va"] = "bottom" if note else "center"
    sheet.write(name, left, middle, 10 if quiet else 12, room=NAMES - 0.1, **look)
    if note:
        sheet.write(note, left, middle + 0.03, 10, room=NAMES - 0.1)
