"""ZF's Figure 4: a layer's units, a row each, at the epochs of a training, a column each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.panels import show_tile
from vizcnn.drawing.sheet import MARGIN, SLIDE_WIDTH, Sheet, fit_slide
from vizcnn.drawing.style import find_style, letter_size, plain_style, points, scale_letters, tone
from vizcnn.photos.pixels import Array

NAMES = 0.95
"""Inches for the units' names before a row."""
GAP, BETWEEN = 0.03, 0.13
"""Inches between a projection and its patch, and between two epochs."""
MOST_BETWEEN = 0.5
"""The latter at most, where there are few epochs."""
HEADING, LABEL = 0.3, 0.23
"""Inches for an epoch's number above, and for a cell's numbers below it."""
TILE, SMALLEST = 0.9, 0.45
"""Largest and smallest side of a tile in inches."""
SLIDE_BODY = 6.2
"""Inches that the rows of a slide take at most."""
CHANGED = COLOURS[5]
"""What marks a photo that is another than at the epoch before."""


@dataclass(frozen=True)
class EvolutionCell:
    """A unit at an epoch.

    Attributes:
        projection: What is shown of its projection, (h, w, 3), 0..1; None where it is silent.
        patch: The photo in the same window, (h, w, 3), 0..1; None where it need not be shown.
        changed: Whether it is another photo than at the epoch before.
        label: What is written below.
    """

    projection: Array | None
    patch: Array | None
    changed: bool
    label: str


@dataclass(frozen=True)
class EvolutionRow:
    """A unit at all epochs.

    Attributes:
        name: What it is called.
        note: A line below its name.
        cells: One at each epoch.
    """

    name: str
    note: str
    cells: tuple[EvolutionCell, ...]


@fit_slide
def draw_block(
    rows: Sequence[EvolutionRow], epochs: Sequence[int], title: str, words: str, caption: str
) -> Figure:
    """Draw the block of a layer.

    Args:
        rows: The units.
        epochs: The epochs, rising.
        title: Heading: net and layer.
        words: What a cell shows.
        caption: What the figure depends on, below.
    """
    columns = len(epochs)
    least = 2 * MARGIN + NAMES + columns * (2 * SMALLEST + GAP + BETWEEN) - BETWEEN
    width = max(SLIDE_WIDTH, least)  # of many epochs the figure is wider
    room = (width - 2 * MARGIN - NAMES - BETWEEN * (columns - 1)) / columns
    tile = min((room - GAP) / 2, TILE)
    label = LABEL * min(scale_letters(1.0), 1.3)
    if find_style().wide:  # a slide has no room for more
        tile = max(min(tile, (SLIDE_BODY - HEADING) / len(rows) - label), SMALLEST)
    step, block = min(room + BETWEEN, 2 * tile + GAP + MOST_BETWEEN), tile + label
    left = MARGIN + NAMES
    with plain_style():
        sheet = Sheet(width, HEADING + block * len(rows), title, caption, words)
        top = sheet.top + HEADING
        for column, epoch in enumerate(epochs):
            head = f"epoch {epoch}" if column == 0 else f"{epoch}"
            middle = left + column * step + tile + GAP / 2
            look = {"ha": "center", "va": "bottom", "weight": "bold"}
            sheet.write(head, middle, top - 0.06, 12, room=step, **look)
        for number, row in enumerate(rows):
            middle, room = top + number * block + tile / 2, NAMES - 0.08
            sheet.write(row.name, MARGIN, middle, 11, va="bottom", weight="bold", room=room)
            sheet.write(row.note, MARGIN, middle + 0.03, 9, color=tone("#444444"), room=room)
        # one pair of axes, with inches for units: one for each tile would take seconds
        across, down = step * columns, block * len(rows)
        axes = sheet.add_axes(left, top, across, down)
        axes.set(xlim=(0, across), ylim=(down, 0))
        for number, row in enumerate(rows):
            for column, cell in enumerate(row.cells):
                across, down = column * step, number * block
                _add_cell(axes, cell, across, down, tile)
                middle = left + across + tile + GAP / 2
                look = {"ha": "center", "color": tone("#222222")}
                sheet.write(
                    cell.label, middle, top + down + tile + 0.02, 9, room=step - 0.02, **look
                )
    return sheet.figure


def _add_cell(axes: Axes, cell: EvolutionCell, left: float, top: float, tile: float) -> None:
    if cell.projection is None:
        ground = Rectangle((left, top), tile, tile, facecolor=tone("#f2f2f2"), linewidth=0)
        axes.add_patch(ground)
        look: dict[str, Any] = {"ha": "center", "va": "center", "color": tone("#444444")}
        axes.text(left + tile / 2, top + tile / 2, "silent", fontsize=letter_size(9), **look)
        return
    show_tile(axes, cell.projection, left, top, tile)
    if cell.patch is None:
        return
    show_tile(axes, cell.patch, left + tile + GAP, top, tile)
    if cell.changed:
        frame = Rectangle((left + tile + GAP, top), tile, tile, fill=False, clip_on=False)
        frame.set(edgecolor=CHANGED, linewidth=points(2))
        axes.add_patch(frame)
