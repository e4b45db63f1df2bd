"""Tables drawn for slides."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vizcnn.drawing.sheet import BODY, FAINT, LINE, MARGIN, QUIET, Slide, measure_width
from vizcnn.drawing.style import letter_size, plain_style, points, tone
from vizcnn.drawing.tables import Table, show_cell

GAP = 0.22
"""Inches between columns."""
ROOM = 5.9
"""Height in inches that a table should keep to, so that it fits a slide of 16:9."""
SMALLEST = 11.0
"""Size of the letters of the longest tables in points."""
SPACING = 1.18
"""Height of a row in lines."""


def draw_table(table: Table, caption: str) -> Figure:
    """Draw a table: as large as a slide allows, names left, numbers right.

    Args:
        table: The table; its notes go before the caption.
        caption: Small print below.

    Returns:
        A figure of a slide's width.
    """
    words = " ".join([*table.notes, caption]).strip()
    lines = len(table.rows) + 1
    with plain_style():
        size = min(BODY, ROOM / (LINE * SPACING * lines))
        size = max(size, SMALLEST)
        slide = Slide(0.1, table.title, words)
        widths = _measure_columns(slide, table, size)
        while sum(widths) + GAP * (len(widths) - 1) > slide.room and size > SMALLEST - 2:
            size -= 0.5
            widths = _measure_columns(slide, table, size)
        row = LINE * SPACING * size
        slide = Slide(row * lines + 0.1, table.title, words)
        _draw_cells(slide, table, widths, size, row)
    return slide.figure


def _measure_columns(slide: Slide, table: Table, size: float) -> list[float]:
    probe = slide.figure.text(0, 0, "", fontsize=letter_size(size), parse_math=False, weight="bold")
    widths = []
    for name, column in zip(table.columns, zip(*table.rows, strict=True), strict=True):
        texts = {name, *(show_cell(cell) for cell in column)}
        widths.append(max(measure_width(probe, text) if text else 0.0 for text in texts))
    probe.remove()
    return widths


def _draw_cells(
    slide: Slide, table: Table, widths: Sequence[float], size: float, row: float
) -> None:
    # columns stand together: an eye that has to cross a slide loses its row
    spare = max(slide.room - sum(widths), 0.0)
    gap = min(spare / max(len(widths) - 1, 1), 3 * GAP)
    total = sum(widths) + gap * (len(widths) - 1)
    lefts = [MARGIN + sum(widths[:place]) + gap * place for place in range(len(widths))]
    _shade_rows(slide, len(table.rows), total, row)
    for left, width, name, right in zip(lefts, widths, table.columns, table.numeric, strict=True):
        middle = slide.top + row / 2
        _write_cell(slide, name, left, width, right, middle, size, weight="bold", color=tone(QUIET))
    first_total = len(table.rows) - table.totals
    for number, cells in enumerate(table.rows):
        middle = slide.top + row * (number + 1.5)
        weight = "bold" if number >= first_total else "normal"
        for left, width, cell, right in zip(lefts, widths, cells, table.numeric, strict=True):
            _write_cell(slide, show_cell(cell), left, width, right, middle, size, weight=weight)


def _write_cell(
    slide: Slide,
    text: str,
    left: float,
    width: float,
    right: bool,
    middle: float,
    size: float,
    **style: Any,
) -> None:
    if text:
        slide.write(
            text,
            left + (width if right else 0),
            middle,
            size,
            ha="right" if right else "left",
            va="center",
            **style,
        )


def _shade_rows(slide: Slide, count: int, width: float, row: float) -> None:
    """Draw a band behind every second row and a line below the head."""
    axes = slide.canvas(MARGIN, slide.top, slide.room, row * (count + 1))
    for number in range(1, count, 2):
        band = Rectangle(
            (-0.05, row * (number + 1)), width + 0.1, row, color=tone("#f0f0f0"), linewidth=0
        )
        axes.add_patch(band).set_clip_on(False)
    axes.plot([0, width], [row * 0.97] * 2, color=tone(FAINT), linewidth=points(1.5))
    axes.set_zorder(-1)
