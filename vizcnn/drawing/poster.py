"""A layer as one slide, in the layout of ZF's Figure 2: projections left, patches right."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vizcnn.drawing.panels import show_panel
from vizcnn.drawing.sheet import MARGIN, SLIDE_EXACT, Sheet
from vizcnn.drawing.style import find_style, plain_style, points, tone, use_style
from vizcnn.drawing.unit_sheets import Pixels

SLIDE = (10.0, 5.625)
"""Width and height in inches. A 16:9 slide is 13.33 wide: there all letters are a third larger."""
POSTER_DPI = 240
"""Pixels per inch: 2400 x 1350 for a slide."""

FEW_UNITS, MANY_UNITS = 20, 48
"""Units on a poster for large fields, and for small ones."""
SMALL_FIELD = 16
"""Side in pixels up to which a field is small."""

BETWEEN = 0.3
"""Inches between the halves."""
HEADING, HEADING_SIZE = 0.25, 12.0
"""Height in inches and size in points of a half's heading."""
LABEL, LABEL_SIZE = 0.13, 7.5
"""Height in inches and size in points of a unit's number."""
GAP = 0.06
"""Inches between blocks, beside the numbers."""


Place = tuple[float, float, float, float]
"""Left, top, width and height in inches, from the figure's upper left corner."""


@dataclass(frozen=True)
class PosterBlock:
    """One unit of a poster.

    Attributes:
        label: What is written above both blocks.
        projections: The unit's projections laid out in a grid, (h, w, 3).
        patches: The photos' patches in the same layout, (h, w, 3).
    """

    label: str
    projections: Pixels
    patches: Pixels


@dataclass(frozen=True)
class _Layout:
    """Where blocks stand in a half; all sizes in inches."""

    columns: int
    rows: int
    width: float
    height: float

    @property
    def room(self) -> float:
        return self.columns * (self.width + GAP) - GAP

    def place(self, index: int, left: float, top: float) -> Place:
        """Give a block's left, top, width and height in a half that begins there."""
        row, column = divmod(index, self.columns)
        left += column * (self.width + GAP)
        top += HEADING + LABEL + row * (self.height + LABEL + GAP)
        return left, top, self.width, self.height


def choose_units(
    units: Sequence[int], window: tuple[int, int], seed: int | str, count: int | None = None
) -> list[int]:
    """Draw the units of a poster at random, as ZF's Figure 2 shows a random subset.

    Args:
        units: Units that are not silent.
        window: Height and width of the projections' windows in pixels; small ones leave room for
            more units.
        seed: Seed of the draw; a text where several draws are to differ.
        count: How many units, at most; chosen by the window when None.

    Returns:
        Unit numbers, sorted.

    Example:
        >>> len(choose_units(range(96), (7, 7), seed=0)), len(choose_units(range(96), (27, 27), 0))
        (48, 20)
    """
    usual = MANY_UNITS if max(window) <= SMALL_FIELD else FEW_UNITS
    wanted = min(usual if count is None else count, len(units))
    return sorted(random.Random(seed).sample(list(units), wanted))


def draw_poster(
    blocks: Sequence[PosterBlock],
    title: str,
    subtitle: str,
    caption: str,
    pictures: str = "projections",
) -> Figure:
    """Draw a layer's units: projections in the left half, patches in the right half.

    Args:
        blocks: The units, one or more, all of one size.
        title: Heading: net and layer.
        subtitle: Which units, and how they were chosen.
        caption: Weights, photos, method and scaling.
        pictures: What the projections are called.

    Returns:
        A figure of the shape of a 16:9 slide.
    """
    style = find_style()
    if style.name != "page":  # the same slide at their size
        style = replace(style, scale=style.scale * SLIDE_EXACT / SLIDE[0])
    # it has the shape of a slide and letters for one of itself
    with use_style(replace(style, wide=False, letters=1.0)), plain_style():
        frame = Sheet(SLIDE[0], 0.0, title, caption, subtitle).height
        body = max(SLIDE[1] - frame, 1.0)
        sheet = Sheet(SLIDE[0], body, title, caption, subtitle)
        room = (SLIDE[0] - 2 * MARGIN - BETWEEN) / 2
        layout = _arrange(len(blocks), blocks[0].projections.shape, room, body - HEADING)
        canvas = sheet.add_axes(0.0, 0.0, sheet.width, sheet.height)  # one for all: it is faster
        canvas.set(xlim=(0, sheet.width), ylim=(sheet.height, 0))
        for half, heading in enumerate((pictures, "patches of the photos")):
            left = MARGIN + half * (room + BETWEEN) + (room - layout.room) / 2
            sheet.write(heading, left, sheet.top, HEADING_SIZE, color=tone("#444444"))
            for index, block in enumerate(blocks):
                image = block.patches if half else block.projections
                _draw_block(sheet, canvas, image, block.label, layout.place(index, left, sheet.top))
    return sheet.figure


def _arrange(count: int, shape: tuple[int, ...], width: float, height: float) -> _Layout:
    """Find the number of columns at which the blocks are largest; of equals the fullest rows."""
    ratio = shape[1] / shape[0]
    layouts = []
    for columns in range(1, count + 1):
        rows = -(-count // columns)
        wide = (width + GAP) / columns - GAP
        high = height / rows - LABEL - GAP
        wide = max(min(wide, high * ratio), 0.01)
        layouts.append(_Layout(columns, rows, wide, wide / ratio))
    return max(layouts, key=lambda layout: (layout.height, -layout.columns * layout.rows))


def _draw_block(sheet: Sheet, canvas: Axes, image: Pixels, label: str, place: Place) -> None:
    left, top, width, height = place
    style = {"va": "bottom", "color": tone("#444444")}
    sheet.write(label, left, top - 0.01, LABEL_SIZE, room=width, **style)
    extent = (left, left + width, top + height, top)
    show_panel(canvas, image, aspect="auto", extent=extent)
    # white patches on white ground have no edge of their own
    frame = Rectangle(
        (left, top), width, height, fill=False, color=tone("#bbbbbb"), linewidth=points(0.4)
    )
    canvas.add_patch(frame)
    canvas.set(xlim=(0, sheet.width), ylim=(sheet.height, 0))  # the picture narrows them
