"""ZF's Figure 4: a layer's units, a row each, at the epochs of a training, a column each."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import MARGIN, SLIDE_WIDTH, Sheet, fit_slide
from vizcnn.drawing.style import find_style, plain_style, points, scale_letters, tone
from vizcnn.photos.pixels import Array

NAMES = 0.95
"""Inches for the units' names before a row."""
GAP, BETWEEN = 0.03, 0.13
"""Inches between a projection and its patch, and between two epochs."""
MOST_BETWEEN = 0.5
"""The latter at most, where there are few epochs."""
HEADING, LABEL = 0.3, 0.23
"""Inches for an epoch's number above, and for a cell's numbers below it."""
TILE = 0.9
"""Largest side of a tile in inches."""
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
    room = (SLIDE_WIDTH - 2 * MARGIN - NAMES - BETWEEN * (columns - 1)) / columns
    tile = min((room - GAP) / 2, TILE)
    label = LABEL * min(scale_letters(1.0), 1.3)
    if find_style().wide:  # a slide has no room for more
        tile = min(tile, (SLIDE_BODY - HEADING) / len(rows) - label)
    step, block = min(room + BETWEEN, 2 * tile + GAP + MOST_BETWEEN), tile + label
    left = MARGIN + NAMES
    with plain_style():
        sheet = Sheet(SLIDE_WIDTH, HEADING + block * len(rows), title, caption, words)
        for column, epoch in enumerate(epochs):
            head = f"epoch {epoch}" if column == 0 else f"{epoch}"
            middle = left + column * step + tile + GAP / 2
            sheet.write(
                head, middle, sheet.top + HEADING - 0.06, 12, ha="center", va="bottom",
                weight="bold", room=step,
            )  # fmt: skip
        for number, row in enumerate(rows):
            top = sheet.top + HEADING + number * block
            sheet.write(
                row.name, MARGIN, top + tile / 2, 11, va="bottom", weight="bold", room=NAMES - 0.08
            )
            sheet.write(
                row.note, MARGIN, top + tile / 2 + 0.03, 9, color=tone("#444444"), room=NAMES - 0.08
            )
            for column, cell in enumerate(row.cells):
                _add_cell(sheet, cell, left + column * step, top, tile)
    return sheet.figure


def _add_cell(sheet: Sheet, cell: EvolutionCell, left: float, top: float, tile: float) -> None:
    middle = left + tile + GAP / 2
    if cell.projection is None:
        axes = sheet.add_axes(left, top, tile, tile)
        ground = Rectangle((0, 0), 1, 1, facecolor=tone("#f2f2f2"), linewidth=0)
        axes.add_patch(ground)
        sheet.write("silent", left + tile / 2, top + tile / 2, 9, ha="center", va="center",
                    color=tone("#444444"), room=tile)  # fmt: skip
        return
    sheet.add_tile(cell.projection, left, top, tile)
    if cell.patch is not None:
        axes = sheet.add_tile(cell.patch, left + tile + GAP, top, tile)
        if cell.changed:
            _mark(axes)
    sheet.write(
        cell.label, middle, top + tile + 0.02, 9, ha="center", color=tone("#222222"),
        room=2 * tile + GAP + BETWEEN - 0.02,
    )  # fmt: skip


def _mark(axes: Axes) -> None:
    """Frame a patch whose photo is new."""
    frame = Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, clip_on=False)
    frame.set(edgecolor=CHANGED, linewidth=points(2))
    axes.add_patch(frame)
