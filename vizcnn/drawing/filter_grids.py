"""Grids of filters as figures: one net, several side by side, filters by input channel."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from vizcnn.drawing.sheet import LINE, MARGIN, SLIDE_WIDTH, Sheet, fit_slide
from vizcnn.drawing.style import ground_level, plain_style, points, scale_letters, tone
from vizcnn.drawing.tiles import grid_columns, lay_out_grid
from vizcnn.measures.filter_numbers import FilterNumbers
from vizcnn.photos.pixels import Array

FilterScaling = Literal["unit", "shared", "zf"]
"""Contrast: each filter's own, one for all with zero as mid grey, or ZF's own."""

Order = Literal["index", "orientation", "frequency", "energy"]
"""What filters are sorted by."""

ZOOM = 3
"""Pixels per weight in a block of kernels: the gaps between them are then thinner than a weight."""

SCALING_WORDS: Mapping[FilterScaling, str] = {
    "unit": "zero is mid grey; full contrast: each filter's own largest |weight|",
    "shared": "zero is mid grey; full contrast: the layer's largest |weight|",
    "zf": "one scale for all: the layer's smallest weight is black, its largest white (the paper "
    "does not state its own; only one scale lets one feature dominate, as in its Figure 6 a)",
}
"""Scalings in words, for captions."""

ORDER_WORDS: Mapping[Order, str] = {
    "index": "",
    "orientation": "sorted by orientation of the bars, anticlockwise from the horizontal; "
    "those without one last",
    "frequency": "sorted by peak frequency, lowest first",
    "energy": "sorted by energy, largest first",
}


def scale_filters(weight: Tensor, scaling: FilterScaling) -> Tensor:
    """Scale a layer's filters for showing.

    Args:
        weight: (F, C, h, w), the whole layer.
        scaling: ``"unit"``: each by its own largest absolute weight, zero as mid grey;
            ``"shared"``: all by the layer's; ``"zf"``: one affine map for the whole layer, its
            smallest weight black and its largest white. Zeiler & Fergus 2013 (arXiv 1311.2901) do
            not state their scaling, but their Figure 6 (a), where "one feature dominates", can
            only come out with one scale for all filters.

    Returns:
        (F, C, h, w), float32, 0..1; mid grey where there is no contrast.

    Example:
        >>> weight = torch.tensor([[1.0, -2.0], [6.0, 0.0]]).view(2, 1, 1, 2)
        >>> [scale_filters(weight, s).flatten().tolist() for s in ("unit", "shared", "zf")]
        [[0.75, 0.0, 1.0, 0.5], [0.583..., 0.333..., 1.0, 0.5], [0.375, 0.0, 1.0, 0.25]]
    """
    values = weight.double()
    if scaling == "zf":
        smallest = values.min()
        middle, limit = (values.max() + smallest) / 2, (values.max() - smallest) / 2
    else:
        dims = (1, 2, 3) if scaling == "unit" else (0, 1, 2, 3)
        middle, limit = torch.zeros(()), values.abs().amax(dim=dims, keepdim=True)
    # without contrast: zero over anything
    return (0.5 + (values - middle) / (2 * limit.clamp(min=1e-300))).clamp(0, 1).float()


def sort_filters(numbers: Sequence[FilterNumbers], order: Order) -> list[int]:
    """Give the numbers of filters in the order in which they are shown.

    Args:
        numbers: The filters' measures.
        order: ``"index"``; ``"orientation"`` of the bars from 0 to 180 degrees, filters without
            one after them; ``"frequency"``: lowest peak first; ``"energy"``: largest first. In
            the order of orientation or frequency dead filters come last of all. Ties by index.
    """

    def rank(index: int) -> tuple[float, float]:
        filter = numbers[index]
        if filter.dead and order in ("orientation", "frequency"):
            return math.inf, index
        angle = 360.0 if filter.orientation is None else filter.orientation
        keys = {
            "index": 0,
            "orientation": angle,
            "frequency": filter.peak,
            "energy": -filter.energy,
        }
        return keys[order], index

    return sorted(range(len(numbers)), key=rank)


def show_colours(shown: Tensor, grey: bool = False) -> list[Array]:
    """Turn scaled filters (F, 3, h, w), or (F, 1, h, w) if grey, into images (h, w, 3)."""
    colours = shown.expand(-1, 3, -1, -1) if grey else shown
    return [filter.permute(1, 2, 0).numpy() for filter in colours]


def show_channels(shown: Tensor) -> list[Array]:
    """Turn scaled filters into blocks: a grid of the kernels of each filter's input channels.

    Args:
        shown: (F, C, h, w), 0..1.

    Returns:
        A grey image (H, W, 3) per filter; the channels in rows, three pixels per weight and one
        of the style's ground between kernels. Kernels of 1 x 1 touch: the block is then a table
        of weights.

    Example:
        >>> show_channels(torch.zeros(2, 96, 5, 5))[0].shape  # 12 columns and 8 rows
        (127, 191, 3)
    """
    columns = grid_columns(shown.shape[1])
    gap = 1 if max(shown.shape[2:]) > 1 else 0
    large = shown.repeat_interleave(ZOOM, dim=2).repeat_interleave(ZOOM, dim=3)
    images: Array = np.repeat(large.numpy()[..., None], 3, axis=4)
    return [lay_out_grid(list(kernels), columns, gap, ground_level()) for kernels in images]


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


@fit_slide
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
        image = lay_out_grid(panel.tiles, grid.columns, background=ground_level())
        _show(sheet, image, left, top, grid.width)
        return
    for index, image in enumerate(panel.tiles):
        row, column = divmod(index, grid.columns)
        here = left + column * (grid.tile + grid.gap)
        below = top + row * grid.step + grid.label
        if panel.labels:
            style = {"va": "bottom", "color": tone("#333333")}
            label = panel.labels[index]
            sheet.write(label, here, below - 0.02, LABEL_SIZE, room=grid.tile, **style)
        axes = _show(sheet, image, here, below, grid.tile)
        if panel.blocks:  # white weights at the edge would run out into the page
            frame: dict[str, Any] = {
                "fill": False,
                "edgecolor": tone("#999999"),
                "linewidth": points(0.6),
                "clip_on": False,
            }
            axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, **frame))


def _show(sheet: Sheet, image: Array, left: float, top: float, width: float) -> Axes:
    return sheet.add_image(image, left, top, width, width * image.shape[0] / image.shape[1])
