"""Grids of filters as figures: one net, several side by side, filters by input channel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vizcnn.sheet import LINE, MARGIN, SLIDE_WIDTH, Sheet, plain_style, scale_letters
from vizcnn.tiles import Array, grid_columns, lay_out_grid

BODY_HEIGHT = 6.7
"""Height in inches that panels should keep to, so that the figure fits a slide."""
LARGEST_TILE = 1.25
"""Largest width of a tile in inches."""
LARGEST_BLOCK = 3.0
"""Largest width of a block of input channels in inches."""
BETWEEN = 0.3
"""Inches between panels."""
ROW_GAP = 0.12
"""Inches between blocks, and between tiles that have labels."""
SMALLEST_TILE = 0.2
"""Smallest width of a tile in inches: sooner the figure becomes higher than a slide."""
RAGGED = 0.75
"""What a grid counts whose last row is not full: such a one is taken if its tiles are much
larger."""
NARROWEST = 6.0
"""Least width of a figure in inches."""
MOST_IN_ROW = 3
"""Panels side by side."""
NAME_SIZE, NOTE_SIZE, LABEL_SIZE = 12.0, 9.5, 8.0
"""Sizes of letters in points: a panel's name, its notes, the filters' labels."""


@dataclass(frozen=True)
class FilterPanel:
    """A grid of filters.

    Attributes:
        tiles: (h, w, 3) each, 0..1, all of one size.
        labels: One above each tile, or none at all.
        name: Heading of the panel; may be empty where it is the only one.
        notes: Lines below the heading.
        blocks: Whether each tile is a block of kernels, itself a grid.
    """

    tiles: tuple[Array, ...]
    labels: tuple[str, ...] = ()
    name: str = ""
    notes: tuple[str, ...] = ()
    blocks: bool = False


@dataclass(frozen=True)
class _Grid:
    """A panel laid out in inches."""

    panel: FilterPanel
    columns: int
    tile: float

    @property
    def rows(self) -> int:
        return -(-len(self.panel.tiles) // self.columns)

    @property
    def gap(self) -> float:
        """Give the space between tiles: without labels that of one weight."""
        if self.panel.labels or self.panel.blocks:
            return ROW_GAP
        return self.tile / int(self.panel.tiles[0].shape[1])

    @property
    def head(self) -> float:
        lines = (NAME_SIZE if self.panel.name else 0.0) + NOTE_SIZE * len(self.panel.notes)
        return LINE * scale_letters(lines) + 0.06 if lines else 0.0

    @property
    def label(self) -> float:
        return LINE * scale_letters(LABEL_SIZE) + 0.02 if self.panel.labels else 0.0

    @property
    def step(self) -> float:
        """Give the height of a row with its labels and the gap below."""
        height, width = self.panel.tiles[0].shape[:2]
        return self.label + self.tile * int(height) / int(width) + self.gap

    @property
    def height(self) -> float:
        return self.head + self.rows * self.step - self.gap

    @property
    def width(self) -> float:
        return self.columns * (self.tile + self.gap) - self.gap


def _lay_out(panel: FilterPanel, room: float, height: float) -> _Grid:
    """Choose columns and a tile's size so that a panel fills its place best."""
    count = len(panel.tiles)
    usual = grid_columns(count)

    def judge(grid: _Grid) -> tuple[float, int]:
        full = 1.0 if count % grid.columns == 0 else RAGGED
        return grid.tile * full, -abs(grid.columns - usual)

    return max((_fit(panel, columns, room, height) for columns in range(1, count + 1)), key=judge)


def _fit(panel: FilterPanel, columns: int, room: float, height: float) -> _Grid:
    """Give the largest tiles with which so many columns fit the room, and the height if it may."""
    largest = LARGEST_BLOCK if panel.blocks else LARGEST_TILE
    empty, full = _Grid(panel, columns, 0.0), _Grid(panel, columns, largest)
    # width and height grow with the tile along straight lines
    wide = (room - empty.width) / (full.width - empty.width)
    high = (height - empty.height) / (full.height - empty.height)
    return _Grid(panel, columns, largest * min(wide, max(high, SMALLEST_TILE / largest), 1.0))


def draw_filters(
    panels: Sequence[FilterPanel], title: str, caption: str, in_row: int | None = None
) -> Figure:
    """Draw grids of filters, side by side.

    All panels have the same place, so that small filters are as easy to see as large ones.

    Args:
        panels: One per net, or per state of a net.
        title: Heading.
        caption: Weights and scaling, below.
        in_row: Panels side by side; None for what fits best.

    Returns:
        A figure of at most a slide's width; more than three panels make several rows.
    """
    if in_row is None:
        half = min(-(-len(panels) // 2), MOST_IN_ROW)
        in_row = len(panels) if len(panels) <= MOST_IN_ROW else half
    room = (SLIDE_WIDTH - 2 * MARGIN - (in_row - 1) * BETWEEN) / in_row
    lines = min(-(-len(panels) // in_row), 2)
    grids = [_lay_out(panel, room, BODY_HEIGHT / lines) for panel in panels]
    rows = [grids[first : first + in_row] for first in range(0, len(grids), in_row)]
    heights = [max(grid.height for grid in row) for row in rows]
    place = room if in_row > 1 else grids[0].width
    with plain_style():
        width = max(in_row * (place + BETWEEN) - BETWEEN + 2 * MARGIN, NARROWEST)
        sheet = Sheet(width, sum(heights) + BETWEEN * (len(rows) - 1), title, caption)
        top = sheet.top
        for row, high in zip(rows, heights, strict=True):
            for index, grid in enumerate(row):
                left = MARGIN + index * (place + BETWEEN)
                _draw_head(sheet, grid.panel, left, top, room if in_row > 1 else width - 2 * MARGIN)
                _draw_grid(sheet, grid, left, top + grid.head)
            top += high + BETWEEN
    return sheet.figure


def _draw_head(sheet: Sheet, panel: FilterPanel, left: float, top: float, room: float) -> None:
    if panel.name:
        sheet.write(panel.name, left, top, NAME_SIZE, room=room, weight="bold")
        top += LINE * scale_letters(NAME_SIZE)
    for line, note in enumerate(panel.notes):
        sheet.write(note, left, top + line * LINE * scale_letters(NOTE_SIZE), NOTE_SIZE, room=room)


def _draw_grid(sheet: Sheet, grid: _Grid, left: float, top: float) -> None:
    panel = grid.panel
    if not panel.labels and not panel.blocks:
        _show(sheet, lay_out_grid(panel.tiles, grid.columns), left, top, grid.width)
        return
    for index, image in enumerate(panel.tiles):
        row, column = divmod(index, grid.columns)
        here = left + column * (grid.tile + grid.gap)
        below = top + row * grid.step + grid.label
        if panel.labels:
            style = {"va": "bottom", "color": "#333333"}
            label = panel.labels[index]
            sheet.write(label, here, below - 0.02, LABEL_SIZE, room=grid.tile, **style)
        axes = _show(sheet, image, here, below, grid.tile)
        if panel.blocks:  # white weights at the edge would run out into the page
            frame: dict[str, Any] = {
                "fill": False,
                "edgecolor": "#999999",
                "linewidth": 0.6,
                "clip_on": False,
            }
            axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, **frame))


def _show(sheet: Sheet, image: Array, left: float, top: float, width: float) -> Axes:
    axes = sheet.add_axes(left, top, width, width * image.shape[0] / image.shape[1])
    # blocks of many channels can be drawn smaller than they are, where "nearest" would drop rows
    axes.imshow(image, interpolation="auto", aspect="auto")
    return axes
